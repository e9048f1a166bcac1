"""A gated mixture of K LoRA experts on every projection of a causal model (iLoRA, arXiv 2408.10159).

    h = W0 x + alpha / (r / K) · Σ_k g_k B_k A_k x,      one gate per sample, the same in all layers
The K experts of rank r/K lie side by side as one A [r, in] and one B [out, r]; the gate weighs the slices of A x, so
the mixture costs what one LoRA of rank r costs. K equal experts are one LoRA of rank r/K with the same alpha; with
g_k = 1/K the mixture is one LoRA of rank r with the same alpha. B starts at zero, A as peft starts it.

Gates hold inside `Gates.speak` alone, backward pass included where activations are computed anew (gradient
checkpointing). Without gates the model refuses to run: it would silently be the base.
Shapes: B samples, T positions, r the rank of all experts together."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.core.errors import InputError
from kitrec.ilora.params import Mixture


class Gates:
    """The gates of the samples under way, which all layers look at."""

    def __init__(self, rank_of_one: int) -> None:
        self._rank_of_one = rank_of_one
        self._slices: torch.Tensor | None = None

    @contextmanager
    def speak(self, gates: torch.Tensor) -> Iterator[None]:
        """Within, every batch consists of the samples of these gates [B, K]; afterwards as it was before."""
        before = self._slices
        self._slices = gates.repeat_interleave(self._rank_of_one, dim=-1)
        try:
            yield
        finally:
            self._slices = before

    @property
    def samples(self) -> int:
        """B of the gates that are set; without any, whoever asks for their slices is told."""
        return 1 if self._slices is None else len(self._slices)

    def slices(self, samples: int) -> torch.Tensor:
        """[B, 1, r]"""
        if self._slices is None:
            raise RuntimeError("no gates are set: run the model (and its backward pass) inside `speak`")
        if len(self._slices) != samples:
            raise RuntimeError(f"{len(self._slices)} gates for a batch of {samples} samples")
        return self._slices[:, None]


class Experts(nn.Module):
    """The learned part of one projection."""

    def __init__(self, inputs: int, outputs: int, p: Mixture, gates: Gates) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.empty(p.rank, inputs))
        self.outer = nn.Parameter(torch.zeros(outputs, p.rank))
        nn.init.kaiming_uniform_(self.inner, a=math.sqrt(5))
        self.dropout = nn.Dropout(p.dropout)
        self._scale, self._gates = p.alpha * p.experts / p.rank, gates

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, in] -> [B, T, out]; some families (OPT) flatten rows and places: [B T, in] -> [B T, out]"""
        if x.dim() == 2:
            return self(x.unflatten(0, (self._gates.samples, -1))).flatten(0, 1)
        slices = self._gates.slices(len(x))
        inner = F.linear(self.dropout(x.to(self.inner.dtype)), self.inner)
        return F.linear(inner * (slices * self._scale).to(inner.dtype), self.outer)


class Gated(nn.Module):
    """A frozen projection (plain, or in NF4) and its experts."""

    def __init__(self, frozen: nn.Linear, experts: Experts) -> None:
        super().__init__()
        self.frozen, self.experts = frozen, experts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, in] -> [B, T, out]"""
        y = self.frozen(x)
        return y + self.experts(x).to(y.dtype)


def add_experts(base: Any, p: Mixture, gates: Gates) -> dict[str, Experts]:
    """Put experts on all linear layers but the output layer; base weights are frozen. Name of the layer -> experts."""
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
        added[name] = Experts(frozen.in_features, frozen.out_features, p, gates).to(frozen.weight.device)
        base.set_submodule(name, Gated(frozen, added[name]))
    return added
