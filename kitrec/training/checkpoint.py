"""The newest checkpoint of a training: one safetensors file, `last-<epoch>-<metric>-<value>.safetensors`.

It holds the current and the best weights, the optimizer's moments, and the progress as JSON: data alone, no code.
The metric is the selection metric, or the training loss of an epoch that was not validated."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.training.selection import Selection
from kitrec.training.state import Progress, TrainingState, copy_tensors

_CHECKPOINTS = "last-*.safetensors"


def epoch_name(progress: Progress, epoch: int, metric: str) -> str:
    """Return epoch and metric as part of a file name: 000012-ndcg@10-0.0345."""
    row = progress.rows[epoch - 1]
    metric = metric if metric in row else "loss"
    return f"{epoch:06d}-{metric}-{row[metric]:.4f}"


def save_checkpoint(
    state: TrainingState[Any], best: Mapping[str, torch.Tensor], selection: Selection, work: Path
) -> None:
    """Write a checkpoint atomically, then remove the older ones."""
    older = list(work.glob(_CHECKPOINTS))
    tensors = {f"model.{name}": tensor.detach() for name, tensor in state.tensors().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moments.items()}
    path = work / f"last-{epoch_name(state.progress, state.progress.epoch, selection.metric)}.safetensors"
    with files.atomic(path) as draft:
        metadata = {"progress": json.dumps(asdict(state.progress))}
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, draft, metadata)
    for outdated in older:
        if outdated != path:
            outdated.unlink()


def resume(state: TrainingState[Any], work: Path) -> dict[str, torch.Tensor]:
    """Restore the newest checkpoint, if there is one; return the best weights so far."""
    newest = sorted(work.glob(_CHECKPOINTS))
    if not newest:
        return {}
    try:
        with safe_open(newest[-1], "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors = load_file(newest[-1])
        copy_tensors(state.tensors(), _under("model.", tensors))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            number, _, key = name.partition(".")
            moments.setdefault(int(number), {})[key] = tensor
        state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise InputError(f"{newest[-1]} belongs to another training, or is damaged ({problem}): remove it") from None
    state.progress = progress
    return _under("best.", tensors)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
