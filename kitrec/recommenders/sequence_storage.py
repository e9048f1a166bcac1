"""A trained model as a folder, and a training that broke off as a file: safetensors and JSON, nothing that runs.

model.safetensors   weights                metadata.safetensors   what BERT4Rec knows of items, where it knows some
model.json          params of the model, item ids in the order of their numbers, how it was chosen"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors import numpy as array_file
from safetensors import torch as tensor_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import SequenceModel
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.models.sequence_registry import build
from kitrec.recommenders.ranking.full import candidate_scores, represent
from kitrec.recommenders.sequence_training import Progress, Training


@dataclass(frozen=True)
class Stored:
    model: Recommender
    vocabulary: Vocabulary
    popularity: np.ndarray  # [N + 1] how often each item stands in what was learned from
    told: dict[str, Any]

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
        """[readers, C] scores of each reader's own candidates."""
        return candidate_scores(self.model, histories, candidates)

    def all_scores(self, histories: Sequences) -> np.ndarray:
        """[readers, N] of histories of at least one item each."""
        weight, bias = self.model.output()
        with torch.inference_mode():
            values = represent(self.model, histories) @ weight.T
            return (values if bias is None else values + bias).cpu().numpy()


def save_model(stored: Stored, p: SequenceModel, known: ItemFeatures, to: Path) -> None:
    """Write a model's folder; it appears as a whole."""
    with files.atomic(to) as draft:
        draft.mkdir()
        tensors = {f"model.{name}": own.contiguous() for name, own in stored.model.state_dict().items()}
        tensors["popularity"] = torch.from_numpy(stored.popularity)
        tensor_file.save_file(tensors, draft / _WEIGHTS)
        if known.names:
            array_file.save_file(_arrays(known), draft / _METADATA)
        told = {"model": asdict(p), "told": stored.told, "items": stored.vocabulary.item_ids}
        files.write_json(told, draft / _JSON)


def load_model(folder: Path) -> Stored:
    """The model of a folder, ready to rank."""
    told = files.read_json(folder / _JSON)
    try:
        p: SequenceModel = TypeAdapter(SequenceModel).validate_json(json.dumps(told["model"]))
        vocabulary = Vocabulary(told["items"])
        model = build(p, len(vocabulary), _known(folder / _METADATA))
        tensors = tensor_file.load_file(folder / _WEIGHTS)
        model.load_state_dict(_under("model.", tensors))
        popularity = tensors["popularity"].numpy()
    except (KeyError, ValidationError, SafetensorError, RuntimeError, FileNotFoundError) as problem:
        raise InputError(f"{folder} holds no whole model ({problem}): train it again") from None
    return Stored(model.eval(), vocabulary, popularity, told["told"])


def save_training(training: Training[Any], best: Mapping[str, torch.Tensor], to: Path) -> None:
    """Everything a broken-off training needs, in one file."""
    tensors = {f"model.{name}": own for name, own in training.model.state_dict().items()}
    tensors |= {f"best.{name}": own for name, own in best.items()}
    for number, state in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": own for name, own in state.items()}
    with files.atomic(to) as draft:
        told = {"progress": json.dumps(asdict(training.progress))}
        tensor_file.save_file({name: own.contiguous() for name, own in tensors.items()}, draft, told)


def resume(training: Training[Any], source: Path) -> dict[str, torch.Tensor]:
    """Put a training back where `save_training` left it; the best weights so far."""
    with safe_open(source, "pt") as file:
        told = json.loads(file.metadata()["progress"])
    tensors = tensor_file.load_file(source)
    training.model.load_state_dict(_under("model.", tensors))
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, own in _under("optimizer.", tensors).items():
        number, _, key = name.partition(".")
        states.setdefault(int(number), {})[key] = own
    training.optimizer.load_state_dict({**training.optimizer.state_dict(), "state": states})
    training.progress = Progress(**told)
    return _under("best.", tensors)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): own for name, own in tensors.items() if name.startswith(prefix)}


def _arrays(known: ItemFeatures) -> dict[str, np.ndarray]:
    arrays = {} if known.titles is None else {"titles": known.titles}
    for name, lists in known.values.items():
        arrays |= {f"{name}.items": lists.items, f"{name}.starts": lists.starts}
        arrays[f"{name}.count"] = np.array([known.counts[name]])
    return arrays


def _known(path: Path) -> ItemFeatures:
    if not path.exists():
        return ItemFeatures()
    arrays = array_file.load_file(path)
    names = [name.removesuffix(".starts") for name in arrays if name.endswith(".starts")]
    values = {name: Sequences(arrays[f"{name}.items"], arrays[f"{name}.starts"]) for name in names}
    counts = {name: int(arrays[f"{name}.count"][0]) for name in names}
    return ItemFeatures(values, counts, arrays.get("titles"))


_WEIGHTS, _METADATA, _JSON = "model.safetensors", "metadata.safetensors", "model.json"
