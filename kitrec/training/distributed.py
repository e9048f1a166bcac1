"""The processes that learn one model together, and the device of each: one GPU a process, or the CPU.

Every process reads the same batches of users and takes its share of them; gradients are summed before each step, so
that a step is that of the whole batch (equal up to rounding; what is drawn, as dropout, differs by process).
`accelerate launch` starts several; alone there is nothing to wait for."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import nn

from kitrec.recommenders.data.packed_batches import PackedBatch, pack
from kitrec.recommenders.data.sequences import Sequences


@dataclass(frozen=True)
class Team:
    device: torch.device
    rank: int = 0
    size: int = 1
    pinned: bool = False  # batches go to the GPU by way of pinned memory

    @property
    def first(self) -> bool:
        """Whether this process is the one that judges and writes."""
        return self.rank == 0

    def share(self, users: np.ndarray) -> np.ndarray:
        """This process's users of a batch."""
        return users[self.rank :: self.size]

    def packed(self, sequences: Sequences) -> PackedBatch:
        """A batch as tensors on this process's device."""
        return pack(sequences, self.device, pinned=self.pinned)

    def total(self, own: float) -> float:
        """The sum over all processes."""
        if self.size == 1:
            return own
        summed = torch.tensor(own, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return summed.item()

    def sum_gradients(self, model: nn.Module) -> None:
        """Every process's gradients become their sum; one that a process lacks counts as zero."""
        if self.size > 1:
            for own in model.parameters():
                own.grad = torch.zeros_like(own) if own.grad is None else own.grad
                dist.all_reduce(own.grad)

    def told(self, numbers: dict[str, float]) -> dict[str, float]:
        """What the first process found, to all."""
        listed = [numbers]
        if self.size > 1:
            dist.broadcast_object_list(listed, src=0)
        return listed[0]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()


def team(*, pinned: bool = False) -> Team:
    """The team this process was started in; without a GPU there is nothing to pin for."""
    state = PartialState(cpu=not torch.accelerator.is_available())  # without it no team on CPU
    pinned = pinned and state.device.type == "cuda"
    return Team(state.device, state.process_index, state.num_processes, pinned)
