"""A trained recommender of any kind as a folder: safetensors and JSON, nothing that can execute code.

model.safetensors   weights, item popularity        metadata.safetensors   item metadata, where BERT4Rec has some
model.json          params of the model, item ids in the order of their numbers, metrics of the chosen epoch; of
                    `kitrec fit` also the rule for repeats"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors import numpy as array_file
from safetensors import torch as tensor_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.interaction_filters import Repeats
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.interface import Learner, Ranker, Recommender
from kitrec.recommenders.models.registry import ModelParams, restore_model
from kitrec.recommenders.ranking.full import candidate_scores, represent
from kitrec.recommenders.ranking.item_search import ItemSearch

_WEIGHTS, _METADATA, _JSON = "model.safetensors", "metadata.safetensors", "model.json"


@dataclass(frozen=True)
class StoredModel:
    model: Any  # a sequence model (Recommender) or a model over two domains (Ranker)
    vocabulary: Vocabulary
    popularity: np.ndarray  # [N + 1] interactions of each item in the training data
    metrics: dict[str, Any]
    repeats: Repeats | None = None  # how its training read repeated items; the pipeline's data have none

    @property
    def is_cross_domain(self) -> bool:
        """Whether it is a model over two domains; otherwise it is a sequence model."""
        return isinstance(self.model, Ranker)

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
        """Return the scores [users, C] of each user's candidates."""
        if isinstance(self.model, Ranker):
            return self.model.candidate_scores(UserHistories(histories), candidates)
        return candidate_scores(self.model, histories, candidates)

    @cached_property
    def search(self) -> ItemSearch:
        """The items of a sequence model, for the best of them."""
        assert isinstance(self.model, Recommender)
        return ItemSearch(*self.model.output())

    def states(self, histories: Sequences) -> torch.Tensor:
        """Return the states [users, d] by a sequence model; each history needs at least one item."""
        assert isinstance(self.model, Recommender)
        with torch.inference_mode():
            return represent(self.model, histories)

    def all_scores(self, histories: Sequences) -> np.ndarray:
        """Return the scores [users, N] of all items by a sequence model: a table for few users or few items."""
        weight, bias = self.model.output()
        with torch.inference_mode():
            values = self.states(histories) @ weight.T
            return (values if bias is None else values + bias).cpu().numpy()


def save_model(stored: StoredModel, p: ModelParams, to: Path, features: ItemFeatures | None = None) -> None:
    """Write a model's folder atomically."""
    with files.atomic(to) as draft:
        draft.mkdir()
        tensors = {f"model.{name}": tensor.contiguous() for name, tensor in stored.model.state_dict().items()}
        tensors["popularity"] = torch.from_numpy(stored.popularity)
        tensor_file.save_file(tensors, draft / _WEIGHTS)
        if features is not None and features.names:
            array_file.save_file(_arrays(features), draft / _METADATA)
        content = {"model": asdict(p), "metrics": stored.metrics, "items": stored.vocabulary.item_ids}
        content |= {} if stored.repeats is None else {"repeats": stored.repeats}
        files.write_json(content, draft / _JSON)


def load_model(folder: Path, device: torch.device | str = "cpu") -> StoredModel:
    """Load the model of a folder, ready to rank on a device; counts stay in the machine's memory."""
    content = files.read_json(folder / _JSON)
    try:
        p: ModelParams = TypeAdapter(ModelParams).validate_json(json.dumps(content["model"]))
        vocabulary = Vocabulary(content["items"])
        tensors = tensor_file.load_file(folder / _WEIGHTS)
        popularity = tensors.pop("popularity").numpy()
        weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
        model = restore_model(p, len(vocabulary), _load_features(folder / _METADATA), weights)
        if len(popularity) != len(vocabulary) + 1:
            raise RuntimeError(f"{len(vocabulary)} items in {_JSON}, {len(popularity) - 1} in {_WEIGHTS}")
        repeats = TypeAdapter(Repeats | None).validate_python(content.get("repeats"))
        if isinstance(model, Recommender | Learner):
            model.to(device)
        return StoredModel(model.eval(), vocabulary, popularity, content["metrics"], repeats)
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError, FileNotFoundError) as problem:
        raise InputError(f"{folder} holds no complete model ({problem}): train it again") from None


def _arrays(features: ItemFeatures) -> dict[str, np.ndarray]:
    arrays = {} if features.titles is None else {"titles": features.titles}
    for name, lists in features.values.items():
        arrays |= {f"{name}.items": lists.items, f"{name}.starts": lists.starts}
        arrays[f"{name}.count"] = np.array([features.counts[name]])
    return arrays


def _load_features(path: Path) -> ItemFeatures:
    if not path.exists():
        return ItemFeatures()
    arrays = array_file.load_file(path)
    names = [name.removesuffix(".starts") for name in arrays if name.endswith(".starts")]
    values = {name: Sequences(arrays[f"{name}.items"], arrays[f"{name}.starts"]) for name in names}
    counts = {name: int(arrays[f"{name}.count"][0]) for name in names}
    return ItemFeatures(values, counts, arrays.get("titles"))
