"""A stage under way as one file, `last.safetensors`: what it moves, its best so far, the optimizer, the progress."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from kitrec.core import files
from kitrec.core.errors import InputError

FILE = "last.safetensors"


@dataclass
class Progress:
    """How far a stage is; `best` is the AUC of judgement number `best_round` (from 1)."""

    rounds: int = 0
    best: float = -math.inf
    best_round: int = 0
    stale: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)  # one per judgement
    counts: dict[str, int] = field(default_factory=dict)  # of the samples


def save(
    moved: Mapping[str, torch.Tensor],
    best: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    work: Path,
) -> None:
    """Write it down, whole or not at all."""
    tensors = {f"moved.{name}": own.detach() for name, own in moved.items()}
    tensors |= {f"best.{name}": own for name, own in best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": own for name, own in state.items()}
    with files.atomic(work / FILE) as draft:
        contiguous = {name: own.cpu().contiguous() for name, own in tensors.items()}
        save_file(contiguous, draft, {"progress": json.dumps(asdict(progress))})


def resume(
    moved: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, work: Path
) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Put everything back where the file left it, if there is one: the progress and the best weights."""
    path = work / FILE
    if not path.exists():
        return Progress(), {}
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors = load_file(path)
        put(moved, _under("moved.", tensors))
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, own in _under("optimizer.", tensors).items():
            number, _, key = name.partition(".")
            states.setdefault(int(number), {})[key] = own
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise InputError(f"{path} belongs to another training, or is damaged ({problem}): remove it") from None
    return progress, _under("best.", tensors)


@torch.no_grad()
def put(moved: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Give tensors these values, by name."""
    if set(moved) != set(values):
        raise ValueError(f"{len(set(moved) ^ set(values))} tensors are in one of both only")
    for name, own in moved.items():
        own.copy_(values[name])


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): own for name, own in tensors.items() if name.startswith(prefix)}
