"""The state of a training, which checkpoints store and callbacks read."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import nn

from kitrec.training.distributed import DistributedContext

M = TypeVar("M", bound=nn.Module)
Row = dict[str, float]  # loss, counts and metrics of one epoch


@dataclass
class Progress:
    """Progress of a training; the loop writes it, a checkpoint stores it.

    An epoch is one round of the loop: a pass over the data, or a stretch of updates between two validations."""

    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    epochs_without_improvement: int = 0  # counts validated epochs only
    rows: list[Row] = field(default_factory=list)  # one per epoch


@dataclass
class TrainingState(Generic[M]):
    """A model in training. `weights` names the tensors that are stored; by default all of the model's."""

    model: M
    optimizer: torch.optim.Optimizer
    progress: Progress = field(default_factory=Progress)
    distributed: DistributedContext = field(default_factory=lambda: DistributedContext(torch.device("cpu")))
    weights: Callable[[], Mapping[str, torch.Tensor]] | None = None

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the best so far."""
        return self.progress.best_epoch == self.progress.epoch

    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Return the stored tensors by name; they share memory with the model."""
        return self.model.state_dict() if self.weights is None else self.weights()

    def copied_tensors(self) -> dict[str, torch.Tensor]:
        """Return a copy of the stored tensors."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors().items()}


@dataclass(frozen=True)
class TrainingResult(Generic[M]):
    """A trained model with its best weights."""

    model: M
    progress: Progress
    last: dict[str, torch.Tensor]  # the weights after the last epoch

    def metrics(self) -> dict[str, float]:
        """Return the row of the best epoch and the number of epochs."""
        rows = self.progress.rows
        return {**rows[self.progress.best_epoch - 1], "epochs": len(rows)}


@torch.no_grad()
def copy_tensors(target: Mapping[str, torch.Tensor], source: Mapping[str, torch.Tensor]) -> None:
    """Copy values by name; both sides must have the same names."""
    if set(target) != set(source):
        raise ValueError(f"{len(set(target) ^ set(source))} tensors are on one side only")
    for name, tensor in target.items():
        tensor.copy_(source[name])
