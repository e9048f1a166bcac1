"""A trained model as a folder: learned.safetensors (its tensors, or title vectors) and model.json (what it is)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from kitrec.core import files
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.titles.calibration import Evidence, of_vectors
from kitrec.titles.catalogue import build_catalogue, number_items
from kitrec.titles.embedding_model import EmbeddingModel, TitleVectors, new_model
from kitrec.titles.embedding_ranking import scores
from kitrec.titles.lines import build_lines
from kitrec.titles.params import AnyMethod, Embedding, Similarity, Title, TitleMethod
from kitrec.titles.questions import build_questions
from kitrec.titles.similarity import SimilarityModel
from kitrec.titles.title_model import TitleModel, TitleScorer, new_title_model
from kitrec.training.state import copy_tensors

_WEIGHTS, _JSON = "learned.safetensors", "model.json"
_VECTORS = "vectors"


@dataclass(frozen=True)
class StoredEmbedding:
    """A trained model, its params, the share of each item in training [N + 1], and the titles read."""

    model: EmbeddingModel
    p: Embedding
    shares: np.ndarray
    titles: TitleVectors

    def evidence(self, records: pl.DataFrame, interactions: pl.DataFrame) -> Evidence:
        """Return what is known of each record's candidates; `interactions` are those of their users."""
        questions = build_questions(records, interactions, self.model.catalogue.vocabulary, self.p.history.items)
        return of_vectors(scores(self.model, questions, self.titles.of), questions.candidates, self.shares)


@dataclass(frozen=True)
class StoredTitle:
    """A trained model with its scorer, and its params."""

    scorer: TitleScorer
    p: Title

    def evidence(self, records: pl.DataFrame, interactions: pl.DataFrame) -> Evidence:
        """Return what is known of each record's candidates; `interactions` are those of their users."""
        questions = build_questions(
            records, interactions, self.scorer.model.lines.catalogue.vocabulary, self.p.history.items
        )
        return self.scorer.evidence(questions)


@dataclass(frozen=True)
class StoredSimilarity:
    """The vectors of titles, the params, and the share of each item in training [N + 1]."""

    model: SimilarityModel
    p: Similarity
    vocabulary: Vocabulary
    shares: np.ndarray

    def evidence(self, records: pl.DataFrame, interactions: pl.DataFrame) -> Evidence:
        """Return what is known of each record's candidates; `interactions` are those of their users."""
        questions = build_questions(records, interactions, self.vocabulary, self.p.items)
        return of_vectors(self.model.scores(questions), questions.candidates, self.shares)


Stored = StoredEmbedding | StoredTitle | StoredSimilarity


def save_embedding(model: EmbeddingModel, p: Embedding, base: PinnedBase, shares: np.ndarray, to: Path) -> None:
    """Write the folder of an embedding model atomically."""
    by_id = _shares_by_id(shares, model.catalogue.vocabulary)
    _save(model.learned(), {**_origin(p, base), "shares": by_id}, to)


def save_title(model: TitleModel, p: Title, base: PinnedBase, shares: np.ndarray, to: Path) -> None:
    """Write the folder of a title model atomically."""
    by_id = _shares_by_id(shares, model.lines.catalogue.vocabulary)
    _save(model.adapter(), {**_origin(p, base), "shares": by_id}, to)


def save_similarity(
    model: SimilarityModel,
    p: Similarity,
    vocabulary: Vocabulary,
    shares: np.ndarray,
    to: Path,
) -> None:
    """Write the folder of title vectors atomically; they belong to these items alone."""
    by_id = _shares_by_id(shares, vocabulary)
    content = {"params": asdict(p), "items": _digest(vocabulary), "shares": by_id}
    _save({_VECTORS: torch.from_numpy(model.vectors)}, content, to)


def load_method(folder: Path, base: PinnedBase, items: pl.DataFrame, domains: Domains) -> Stored:
    """Load the model of a folder on its base, ready to rank items with these titles."""
    content = files.read_json(folder / _JSON)
    trained_on = content.get("base", base.fingerprint)  # similarity needs none
    if trained_on != base.fingerprint:
        raise InputError(f"{folder} was trained on the base {trained_on}, not {base.fingerprint}: train it again")
    try:
        p: AnyMethod = TypeAdapter(TitleMethod).validate_json(json.dumps(content["params"]), strict=True)
        weights = load_file(folder / _WEIGHTS)
        match p:
            case Embedding():
                return _embedding(p, content, weights, base, items, domains)
            case Title():
                return _title(p, content, weights, base, items, domains)
            case Similarity():
                return _similarity(p, content, weights, items, domains)
    except (KeyError, ValidationError, ValueError, SafetensorError, RuntimeError) as problem:
        raise InputError(f"{folder} holds no whole model of this version ({problem}): train it again") from None


def _embedding(
    p: Embedding,
    content: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    base: PinnedBase,
    items: pl.DataFrame,
    domains: Domains,
) -> StoredEmbedding:
    catalogue = build_catalogue(items, Encoder(load_tokenizer(base)), p.history.title_tokens, domains.source)
    model = new_model(p, base, catalogue, seed=0)
    copy_tensors(model.learned(), weights)
    model.train(False)
    shares = _shares(content["shares"], catalogue.vocabulary, catalogue.is_target)
    return StoredEmbedding(model, p, shares, TitleVectors(model))


def _title(
    p: Title,
    content: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    base: PinnedBase,
    items: pl.DataFrame,
    domains: Domains,
) -> StoredTitle:
    model = new_title_model(p, base, build_lines(items, load_tokenizer(base), p.history.title_tokens, domains), seed=0)
    copy_tensors(model.adapter(), weights)
    model.train(False)
    catalogue = model.lines.catalogue
    shares = _shares(content["shares"], catalogue.vocabulary, catalogue.is_target)
    return StoredTitle(TitleScorer(model, shares), p)


def _similarity(
    p: Similarity,
    content: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    items: pl.DataFrame,
    domains: Domains,
) -> StoredSimilarity:
    vocabulary, _, numbers = number_items(items, domains.source)
    if content["items"] != _digest(vocabulary):
        raise ValueError("its vectors are of other items")
    shares = _shares(content["shares"], vocabulary, numbers > 0)
    model = SimilarityModel(weights[_VECTORS].numpy())
    return StoredSimilarity(model, p, vocabulary, shares)


def _origin(p: Embedding | Title, base: PinnedBase) -> dict[str, Any]:
    return {"base": base.fingerprint, "params": asdict(p)}


def _save(weights: Mapping[str, torch.Tensor], content: Mapping[str, Any], to: Path) -> None:
    with files.atomic(to) as draft:
        draft.mkdir()
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, draft / _WEIGHTS)
        files.write_json(content, draft / _JSON)


def _shares_by_id(shares: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
    """Return the shares of target items by their ids; items of the source have none."""
    numbers = np.flatnonzero(shares)
    return dict(zip(vocabulary.ids(numbers), shares[numbers].tolist(), strict=True))


def _shares(by_id: dict[str, float], vocabulary: Vocabulary, is_target: np.ndarray) -> np.ndarray:
    """Return the shares [N + 1] by number; an item that training did not know has the least."""
    shares = np.where(is_target, min(by_id.values()), 0.0)
    shares[vocabulary.numbers(pl.Series(list(by_id)))] = list(by_id.values())
    return shares


def _digest(vocabulary: Vocabulary) -> str:
    return hashlib.sha256("\n".join(vocabulary.item_ids).encode()).hexdigest()
