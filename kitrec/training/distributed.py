"""The processes that train one model together, and the device of each: one GPU per process, or the CPU.

All processes read the same batches and each takes its shard of them; gradients are summed before every update, so that
an update is that of the whole batch (equal up to rounding; random draws such as dropout differ between processes).
`accelerate launch` starts several processes; a single one has nothing to wait for."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import nn


@dataclass(frozen=True)
class DistributedContext:
    device: torch.device
    rank: int = 0
    world_size: int = 1
    pin_memory: bool = False  # batches go to the GPU through pinned memory

    @property
    def is_main(self) -> bool:
        """Whether this process validates and writes files."""
        return self.rank == 0

    def shard(self, users: np.ndarray) -> np.ndarray:
        """Return this process's users of a batch."""
        return users[self.rank :: self.world_size]

    def all_sum(self, value: float) -> float:
        """Return the sum over all processes."""
        if self.world_size == 1:
            return value
        summed = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return summed.item()

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over all processes; a missing gradient counts as zero."""
        if self.world_size > 1:
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                dist.all_reduce(parameter.grad)

    def broadcast(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return the metrics of the main process, in all processes."""
        objects = [metrics]
        if self.world_size > 1:
            dist.broadcast_object_list(objects, src=0)
        return objects[0]

    def barrier(self) -> None:
        """Wait until all processes arrive here."""
        if self.world_size > 1:
            dist.barrier()


def distributed_context(*, pin_memory: bool = False) -> DistributedContext:
    """Return the context that this process was started in; memory is pinned only for a GPU."""
    state = PartialState(cpu=not torch.accelerator.is_available())  # without it there is no process group on CPU
    pin_memory = pin_memory and state.device.type == "cuda"
    return DistributedContext(state.device, state.process_index, state.num_processes, pin_memory)
