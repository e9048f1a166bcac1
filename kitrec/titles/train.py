"""Training of any method of `titles.methods`, from the tables of the pipeline to the folder of the trained model."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.titles.catalogue import build_catalogue, number_items
from kitrec.titles.embedding_model import new_model
from kitrec.titles.embedding_training import train_embedding
from kitrec.titles.lines import build_lines
from kitrec.titles.params import AnyMethod, Embedding, Similarity, Title
from kitrec.titles.questions import build_questions
from kitrec.titles.rounds import OnRound, Trained, TrainingData, trained
from kitrec.titles.samples import item_shares, user_sequences
from kitrec.titles.similarity import encode_titles, validation_row
from kitrec.titles.storage import save_embedding, save_similarity, save_title
from kitrec.titles.title_model import new_title_model
from kitrec.titles.title_training import train_title


@dataclass(frozen=True)
class Inputs:
    """Items, interactions by role and development records; the seed; and the folder of checkpoints."""

    base: PinnedBase
    domains: Domains
    items: pl.DataFrame
    train: pl.DataFrame
    development: pl.DataFrame
    records: pl.DataFrame
    seed: int
    work: Path

    def data(self, vocabulary: Vocabulary, items: int) -> TrainingData:
        """Return users as sequences and development records as questions that show `items` items at most."""
        questions = build_questions(self.records, self.development, vocabulary, items)
        return TrainingData(user_sequences(self.train, vocabulary), questions, self.seed, self.work)


def train_method(p: AnyMethod, inputs: Inputs, on_round: OnRound, to: Path) -> Trained:
    """Train a method, resumed from its checkpoints, and store its best weights."""
    match p:
        case Embedding():
            return _train_embedding(p, inputs, on_round, to)
        case Title():
            return _train_title(p, inputs, on_round, to)
        case Similarity():
            return _fit_similarity(p, inputs, to)


def planned_rounds(p: AnyMethod) -> int:
    """Return the rounds of a method's longest training."""
    match p:
        case Embedding():
            trainings = [p.heads_training, p.adapter_training]
        case Title():
            trainings = [p.training]
        case Similarity():
            trainings = []
    return max((training.updates // training.validate_every for training in trainings), default=0)


def _train_embedding(p: Embedding, inputs: Inputs, on_round: OnRound, to: Path) -> Trained:
    encoder = Encoder(load_tokenizer(inputs.base))
    catalogue = build_catalogue(inputs.items, encoder, p.history.title_tokens, inputs.domains.source)
    model, data = new_model(p, inputs.base, catalogue, inputs.seed), inputs.data(catalogue.vocabulary, p.history.items)
    trained = train_embedding(model, p, data, on_round)
    save_embedding(model, p, inputs.base, item_shares(data.sequences, catalogue.is_target), to)
    return trained


def _train_title(p: Title, inputs: Inputs, on_round: OnRound, to: Path) -> Trained:
    lines = build_lines(inputs.items, load_tokenizer(inputs.base), p.history.title_tokens, inputs.domains)
    model, data = (
        new_title_model(p, inputs.base, lines, inputs.seed),
        inputs.data(lines.catalogue.vocabulary, p.history.items),
    )
    trained = train_title(model, p, data, on_round)
    save_title(model, p, inputs.base, item_shares(data.sequences, lines.catalogue.is_target), to)
    return trained


def _fit_similarity(p: Similarity, inputs: Inputs, to: Path) -> Trained:
    vocabulary, titles, domains = number_items(inputs.items, inputs.domains.source)
    model, data = encode_titles(p, titles, inputs.seed), inputs.data(vocabulary, p.items)
    shares = item_shares(data.sequences, domains > 0)
    fitted = trained([], len(data.sequences), validation_row(model, data.development, shares))
    save_similarity(model, p, vocabulary, shares, to)
    return fitted
