"""A trained model as a folder: learned.safetensors (adapter, and towers if it has some) and model.json (what it is)."""

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
from kitrec.titles.calibration import Calibration
from kitrec.titles.catalogue import Catalogue, build_catalogue
from kitrec.titles.embedding_model import EmbeddingModel, TitleVectors, new_model
from kitrec.titles.embedding_ranking import scores, with_prior
from kitrec.titles.lines import build_lines
from kitrec.titles.params import Embedding, Title, TitleMethod
from kitrec.titles.questions import build_questions
from kitrec.titles.title_model import TitleModel, TitleScorer, new_title_model
from kitrec.training.state import copy_tensors

_WEIGHTS, _JSON = "learned.safetensors", "model.json"


@dataclass(frozen=True)
class StoredEmbedding:
    """A trained model, its params, the share of each item in training [N + 1] with its weight, and titles read."""

    model: EmbeddingModel
    p: Embedding
    shares: np.ndarray
    prior_weight: float
    titles: TitleVectors

    def scores(self, records: pl.DataFrame, interactions: pl.DataFrame) -> list[np.ndarray]:
        """Return the scores of each record's candidates; `interactions` are those of their users."""
        questions = build_questions(records, interactions, self.model.catalogue, self.p.history.items)
        return with_prior(scores(self.model, questions, self.titles.of), questions, self.shares, self.prior_weight)


@dataclass(frozen=True)
class StoredTitle:
    """A trained model with its scorer, its params, and the calibration that the development users chose."""

    scorer: TitleScorer
    p: Title
    calibration: Calibration

    def scores(self, records: pl.DataFrame, interactions: pl.DataFrame) -> list[np.ndarray]:
        """Return the scores of each record's candidates; `interactions` are those of their users."""
        questions = build_questions(records, interactions, self.scorer.model.lines.catalogue, self.p.history.items)
        return self.calibration.scores(self.scorer.likelihoods(questions))


def save_embedding(
    model: EmbeddingModel, p: Embedding, base: PinnedBase, shares: np.ndarray, metrics: dict[str, float], to: Path
) -> None:
    """Write the folder of an embedding model atomically."""
    target_items = np.flatnonzero(model.catalogue.is_target)
    ids = model.catalogue.vocabulary.ids(target_items)
    by_id = dict(zip(ids, shares[target_items].tolist(), strict=True))
    _save(model.learned(), {**_origin(p, base), "metrics": metrics, "shares": by_id}, to)


def save_title(model: TitleModel, p: Title, base: PinnedBase, metrics: dict[str, float], to: Path) -> None:
    """Write the folder of a title model atomically."""
    _save(model.adapter(), {**_origin(p, base), "metrics": metrics}, to)


def load_method(folder: Path, base: PinnedBase, items: pl.DataFrame, domains: Domains) -> StoredEmbedding | StoredTitle:
    """Load the model of a folder on its base, ready to rank items with these titles."""
    content = files.read_json(folder / _JSON)
    if content.get("base") != base.fingerprint:
        raise InputError(
            f"{folder} was trained on the base {content.get('base')}, not {base.fingerprint}: train it again"
        )
    try:
        p: Embedding | Title = TypeAdapter(TitleMethod).validate_json(json.dumps(content["params"]), strict=True)
        weights = load_file(folder / _WEIGHTS)
        if isinstance(p, Embedding):
            return _embedding(p, content, weights, base, items, domains)
        return _title(p, content, weights, base, items, domains)
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
    shares, weight = _shares(content["shares"], catalogue), content["metrics"]["prior_weight"]
    return StoredEmbedding(model, p, shares, weight, TitleVectors(model))


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
    metrics = content["metrics"]
    return StoredTitle(TitleScorer(model), p, Calibration(bool(metrics["per_token"]), metrics["prior_weight"]))


def _origin(p: Embedding | Title, base: PinnedBase) -> dict[str, Any]:
    return {"base": base.fingerprint, "params": asdict(p)}


def _save(weights: Mapping[str, torch.Tensor], content: Mapping[str, Any], to: Path) -> None:
    with files.atomic(to) as draft:
        draft.mkdir()
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, draft / _WEIGHTS)
        files.write_json(content, draft / _JSON)


def _shares(by_id: dict[str, float], catalogue: Catalogue) -> np.ndarray:
    """Return the shares [N + 1] by number; an item that training did not know has the least."""
    shares = np.where(catalogue.is_target, min(by_id.values()), 0.0)
    shares[catalogue.vocabulary.numbers(pl.Series(list(by_id)))] = list(by_id.values())
    return shares
