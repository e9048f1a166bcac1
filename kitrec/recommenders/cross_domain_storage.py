"""A model over two domains as a folder: safetensors and JSON, nothing that runs.

model.safetensors   weights, and how often training saw each item
model.json          params of the model, item ids in the order of their numbers, how it was chosen"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, TypeAdapter
from safetensors import SafetensorError
from safetensors import torch as tensor_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Ranker
from kitrec.recommenders.models.cross_domain_registry import build
from kitrec.recommenders.models.ease import EASE
from kitrec.recommenders.models.item_knn import ItemKNN
from kitrec.recommenders.models.popularity import Popularity
from kitrec.recommenders.models.random_walk import RandomWalk

Model = params.CrossDomainModel | params.NonParametricModel
KINDS = TypeAdapter[Model](Annotated[Model, Field(discriminator="kind")])
_RANKERS: dict[type, type[Ranker]] = {
    params.ItemKNN: ItemKNN,
    params.EASE: EASE,
    params.RandomWalk: RandomWalk,
    params.Popularity: Popularity,
}


@dataclass(frozen=True)
class Stored:
    model: Ranker
    vocabulary: Vocabulary
    popularity: np.ndarray  # [N + 1] how often each item stands in what was learned from
    told: dict[str, Any]

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
        """[readers, C] scores of each reader's own candidates."""
        return self.model.candidate_scores(UserHistories(histories), candidates)


def save_model(stored: Stored, p: Model, to: Path) -> None:
    """Write a model's folder; it appears as a whole."""
    with files.atomic(to) as draft:
        draft.mkdir()
        tensors = {f"model.{name}": own.contiguous() for name, own in stored.model.state_dict().items()}
        tensors["popularity"] = torch.from_numpy(stored.popularity)
        tensor_file.save_file(tensors, draft / _WEIGHTS)
        told = {"model": asdict(p), "told": stored.told, "items": stored.vocabulary.item_ids}
        files.write_json(told, draft / _JSON)


def load_model(folder: Path) -> Stored:
    """The model of a folder, ready to rank."""
    told = files.read_json(folder / _JSON)
    try:
        p = KINDS.validate_json(json.dumps(told["model"]))
        tensors = tensor_file.load_file(folder / _WEIGHTS)
        popularity = tensors.pop("popularity").numpy()
        own = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
        model, vocabulary = _restored(p, own), Vocabulary(told["items"])
        if len(popularity) != len(vocabulary) + 1:
            raise RuntimeError(f"{len(vocabulary)} items in {_JSON}, {len(popularity) - 1} in {_WEIGHTS}")
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError, FileNotFoundError) as problem:
        raise InputError(f"{folder} holds no whole model ({problem}): train it again") from None
    return Stored(model.eval(), vocabulary, popularity, told["told"])


def is_crossdomain(folder: Path) -> bool:
    """Whether a folder holds a model over two domains (and not one over sequences)."""
    try:
        return (
            files.read_json(folder / _JSON)["model"]["kind"] in params.CROSS_DOMAIN_KINDS | params.NON_PARAMETRIC_KINDS
        )
    except (KeyError, TypeError):
        return False  # whoever loads it says what is wrong


def _restored(p: Model, tensors: dict[str, torch.Tensor]) -> Ranker:
    for kind, ranker in _RANKERS.items():
        if isinstance(p, kind):
            return ranker(**tensors)
    assert isinstance(p, params.CrossDomainModel)
    titles = tensors["titles"].numpy() if "titles" in tensors else None
    model = build(p, ItemDomains(tensors["domains"].numpy()), titles=titles)
    model.load_state_dict(tensors)
    return model


_WEIGHTS, _JSON = "model.safetensors", "model.json"
