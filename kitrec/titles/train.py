"""Training of any method of `titles.methods`, from the tables of the pipeline to the folder of the trained model."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.titles.catalogue import Catalogue, build_catalogue
from kitrec.titles.embedding_model import new_model
from kitrec.titles.embedding_training import train_embedding
from kitrec.titles.lines import build_lines
from kitrec.titles.params import Embedding, Title
from kitrec.titles.questions import questions
from kitrec.titles.rounds import OnRound, Trained, TrainingData
from kitrec.titles.samples import item_shares, user_sequences
from kitrec.titles.storage import save_embedding, save_title
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

    def data(self, catalogue: Catalogue, items: int) -> TrainingData:
        """Return users as sequences and development records as questions that show `items` items at most."""
        asked = questions(self.records, self.development, catalogue, items)
        return TrainingData(user_sequences(self.train, catalogue), asked, self.seed, self.work)


def train_method(p: Embedding | Title, inputs: Inputs, on_round: OnRound, to: Path) -> Trained:
    """Train a method, resumed from its checkpoints, and store its best weights."""
    if isinstance(p, Embedding):
        return _train_embedding(p, inputs, on_round, to)
    return _train_title(p, inputs, on_round, to)


def planned_rounds(p: Embedding | Title) -> int:
    """Return the rounds of a method's longest training."""
    trainings = [p.heads_training, p.adapter_training] if isinstance(p, Embedding) else [p.training]
    return max(training.updates // training.validate_every for training in trainings)


def _train_embedding(p: Embedding, inputs: Inputs, on_round: OnRound, to: Path) -> Trained:
    encoder = Encoder(load_tokenizer(inputs.base))
    catalogue = build_catalogue(inputs.items, encoder, p.history.title_tokens, inputs.domains.source)
    model, data = new_model(p, inputs.base, catalogue, inputs.seed), inputs.data(catalogue, p.history.items)
    trained = train_embedding(model, p, data, on_round)
    save_embedding(model, p, inputs.base, item_shares(data.sequences, catalogue.is_target), trained.metrics, to)
    return trained


def _train_title(p: Title, inputs: Inputs, on_round: OnRound, to: Path) -> Trained:
    lines = build_lines(inputs.items, load_tokenizer(inputs.base), p.history.title_tokens, inputs.domains)
    model, data = new_title_model(p, inputs.base, lines, inputs.seed), inputs.data(lines.catalogue, p.history.items)
    trained = train_title(model, p, data, on_round)
    save_title(model, p, inputs.base, trained.metrics, to)
    return trained
