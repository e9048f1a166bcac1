"""A trained embedding model as a folder: learned.safetensors (adapter and towers) and embedding.json (what it is)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.titles.catalogue import Catalogue, build_catalogue
from kitrec.titles.embedding_model import EmbeddingModel, new_model
from kitrec.titles.params import Embedding
from kitrec.training.state import copy_tensors

_WEIGHTS, _JSON = "learned.safetensors", "embedding.json"


@dataclass(frozen=True)
class StoredEmbedding:
    """A trained model, its params, and the share of each item in training [N + 1] with the weight that it has."""

    model: EmbeddingModel
    p: Embedding
    shares: np.ndarray
    prior_weight: float


def save_embedding(
    model: EmbeddingModel, p: Embedding, base: PinnedBase, shares: np.ndarray, metrics: dict[str, float], to: Path
) -> None:
    """Write a model's folder atomically."""
    with files.atomic(to) as draft:
        draft.mkdir()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in learned(model).items()}
        save_file(tensors, draft / _WEIGHTS)
        target_items = np.flatnonzero(model.catalogue.is_target)
        by_id = dict(zip(model.catalogue.vocabulary.ids(target_items), shares[target_items].tolist(), strict=True))
        content = {"base": base.fingerprint, "params": asdict(p), "metrics": metrics, "shares": by_id}
        files.write_json(content, draft / _JSON)


def load_embedding(folder: Path, base: PinnedBase, items: pl.DataFrame, source: str) -> StoredEmbedding:
    """Load the model of a folder on its base, ready to rank items with these titles."""
    content = files.read_json(folder / _JSON)
    if content.get("base") != base.fingerprint:
        raise InputError(
            f"{folder} was trained on the base {content.get('base')}, not {base.fingerprint}: train it again"
        )
    try:
        p = TypeAdapter(Embedding).validate_json(json.dumps(content["params"]), strict=True)
        catalogue = build_catalogue(items, Encoder(load_tokenizer(base)), p.history.title_tokens, source)
        model = new_model(p, base, catalogue, seed=0)
        copy_tensors(learned(model), load_file(folder / _WEIGHTS))
    except (KeyError, ValidationError, ValueError, SafetensorError, RuntimeError) as problem:
        raise InputError(f"{folder} holds no whole model of this version ({problem}): train it again") from None
    model.train(False)
    return StoredEmbedding(model, p, _shares(content["shares"], catalogue), content["metrics"]["prior_weight"])


def _shares(by_id: dict[str, float], catalogue: Catalogue) -> np.ndarray:
    """Return the shares [N + 1] by number; an item that training did not know has the least."""
    shares = np.where(catalogue.is_target, min(by_id.values()), 0.0)
    shares[catalogue.vocabulary.numbers(pl.Series(list(by_id)))] = list(by_id.values())
    return shares


def learned(model: EmbeddingModel) -> dict[str, Any]:
    """Return the tensors that training changes, by name."""
    return {**model.towers.state_dict(), **model.adapter()}
