"""A gated mixture of K LoRA experts on every projection of a causal model (iLoRA, arXiv 2408.10159).

    h = W0 x + alpha / (r / K) · Σ_k g_k B_k A_k x,      one gate per sample, the same in all layers
The K experts of rank r/K lie side by side as one A [r, in] and one B [out, r]; the gate weighs the slices of A x, so
the mixture costs as much as a single LoRA of rank r. K equal experts are one LoRA of rank r/K with the same alpha; with
g_k = 1/K the mixture is one LoRA of rank r with the same alpha. B is initialised to zero, A as in peft.

Gates are active inside `GateContext.activate` only; with gradient checkpointing, which recomputes activations, the
backward pass belongs inside as well. Without active gates the model raises an error: it would silently be the base.
Shapes: B samples, T positions, r the total rank of all experts."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.core.errors import InputError
from kitrec.ilora.params import Mixture


class GateContext:
    """The gates of the current batch, shared by all layers."""

    def __init__(self, expert_rank: int) -> None:
        self._expert_rank = expert_rank
        self._slices: torch.Tensor | None = None

    @contextmanager
    def activate(self, gates: torch.Tensor) -> Iterator[None]:
        """Use these gates [B, K] for every batch inside the block; restore the previous ones afterwards."""
        previous = self._slices
        self._slices = gates.repeat_interleave(self._expert_rank, dim=-1)
        try:
            yield
        finally:
            self._slices = previous

    @property
    def samples(self) -> int:
        """Batch size B of the active gates; 1 without any, since `slices` then raises the error."""
        return 1 if self._slices is None else len(self._slices)

    def slices(self, samples: int) -> torch.Tensor:
        """Return the gates repeated over the ranks of each expert, [B, 1, r]."""
        if self._slices is None:
            raise RuntimeError("no gates are active: run the model (and its backward pass) inside `activate`")
        if len(self._slices) != samples:
            raise RuntimeError(f"{len(self._slices)} gates for a batch of {samples} samples")
        return self._slices[:, None]


class LoRAExperts(nn.Module):
    """The trainable part of one projection."""

    def __init__(self, inputs: int, outputs: int, p: Mixture, gates: GateContext) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.empty(p.rank, inputs))
        self.outer = nn.Parameter(torch.zeros(outputs, p.rank))
        nn.init.kaiming_uniform_(self.inner, a=math.sqrt(5))
        self.dropout = nn.Dropout(p.dropout)
        self._scale, self._gates = p.alpha * p.experts / p.rank, gates

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, T, in] to [B, T, out]; some families (OPT) flatten rows and positions: [B T, in] to [B T, out]."""
        if x.dim() == 2:
            return self(x.unflatten(0, (self._gates.samples, -1))).flatten(0, 1)
        slices = self._gates.slices(len(x))
        inner = F.linear(self.dropout(x.to(self.inner.dtype)), self.inner)
        return F.linear(inner * (slices * self._scale).to(inner.dtype), self.outer)


class GatedLinear(nn.Module):
    """A frozen projection (plain, or in NF4) and its experts."""

    def __init__(self, frozen: nn.Linear, experts: LoRAExperts) -> None:
        super().__init__()
        self.frozen, self.experts = frozen, experts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, T, in] to [B, T, out]."""
        y = self.frozen(x)
        return y + self.experts(x).to(y.dtype)


def add_experts(base: Any, p: Mixture, gates: GateContext) -> dict[str, LoRAExperts]:
    """Add experts to all linear layers but the output layer and freeze the base; return the experts by layer name."""
    base.requires_grad_(False)
    linear = {
        name: module
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear) and module is not base.get_output_embeddings()
    }
    if not linear:
        raise InputError(f"{type(base).__name__} has no linear layers to put experts on: choose another base")
    added = {}
    for name, frozen in linear.items():
        added[name] = LoRAExperts(frozen.in_features, frozen.out_features, p, gates).to(frozen.weight.device)
        base.set_submodule(name, GatedLinear(frozen, added[name]))
    return added
