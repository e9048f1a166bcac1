"""Several adapters at once, mixed differently for each row of a batch.

    y = W x + s sum_gh M_gh B_g A_h x  =  W x + s [B_1 ... B_G] (M x I_r) [A_1; ...; A_G] x
    concatenation   M = diag(w)            s sum_g w_g B_g A_g: the weighted mean of the adapters' updates
    linear          M_gh = sqrt(w_g w_h)   s (sum_g sqrt(w_g) B_g) (sum_h sqrt(w_h) A_h), so A_h also meets B_g:
                                           PEFT's combination_type "linear", the published ThinkRec's
The adapters are stacked into one LoRA of rank G r, whose inner values are mixed per row: what PEFT's merge of the same
name gives, separately for every user and without an adapter per user. The two are one where a single weight is 1. With
a user's mixture folded into A, it is an ordinary adapter again, which any engine can serve.
Shapes: B rows, T positions, G adapters of rank r."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.lora import adapter_weights
from kitrec.thinkrec.params import Merge

STACKED = "stacked"


def mixtures(weights: np.ndarray, merge: Merge) -> np.ndarray:
    """Return the matrices M [..., G, G] of these adapter weights [..., G], none of them negative."""
    if merge == "concatenation":
        return weights[..., None] * np.eye(weights.shape[-1])
    roots = np.sqrt(weights)
    return roots[..., :, None] * roots[..., None, :]


class StackedAdapters:
    """Adapters of a PEFT model side by side, in the order of their names; `mixed` says how they are mixed."""

    def __init__(self, llm: PeftModel, names: Sequence[str]) -> None:
        configs = [_config(llm, name) for name in names]
        shapes = {(config.r, config.lora_alpha, tuple(sorted(config.target_modules or ()))) for config in configs}
        if len(shapes) > 1:
            raise InputError(f"adapters {', '.join(names)} differ in rank, alpha or layers; train them with one config")
        self._rank = configs[0].r
        self._mixtures: torch.Tensor | None = None
        self._llm, self._names = llm, list(names)
        _stack(llm, names)
        for name, module in llm.named_modules():
            if name.endswith(f"lora_A.{STACKED}"):
                module.register_forward_hook(self._mix)

    @contextmanager
    def mixed(self, matrices: torch.Tensor) -> Iterator[None]:
        """Within the context, row b of a batch is computed with the adapters mixed by M_b; matrices are [B, G, G]."""
        before = self._llm.active_adapter
        self._llm.set_adapter(STACKED)
        self._mixtures = matrices
        try:
            yield
        finally:
            self._mixtures = None
            self._llm.set_adapter(before)

    def _mix(self, _module: Any, _inputs: Any, inner: torch.Tensor) -> torch.Tensor:
        if self._mixtures is None:
            return inner
        rows_per_user = len(inner) // len(self._mixtures)  # rows of a user are consecutive
        matrices = self._mixtures.repeat_interleave(rows_per_user, dim=0).to(inner.device, inner.dtype)
        by_adapter = inner.unflatten(-1, (-1, self._rank))
        return torch.einsum("bgh,bthr->btgr", matrices, by_adapter).flatten(-2)

    def folded(self, matrix: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return one user's mixture [G, G] as the weights of an ordinary adapter of rank G r."""
        whole = torch.kron(matrix, torch.eye(self._rank, dtype=matrix.dtype))
        return {
            name: (whole.to(weight) @ weight if "lora_A" in name else weight).detach().clone()
            for name, weight in adapter_weights(self._llm, STACKED).items()
        }


def _config(llm: PeftModel, name: str) -> LoraConfig:
    config = llm.peft_config[name]
    assert isinstance(config, LoraConfig)
    return config


@torch.no_grad()
def _stack(llm: PeftModel, names: Sequence[str]) -> None:
    """Add the stacked LoRA of rank G r; its alpha keeps the scale s = alpha / r."""
    first = _config(llm, names[0])
    config = LoraConfig(
        r=first.r * len(names),
        lora_alpha=first.lora_alpha * len(names),
        lora_dropout=0.0,
        target_modules=first.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )
    llm.add_adapter(STACKED, config)
    parts = [adapter_weights(llm, name) for name in names]
    for key, stacked in adapter_weights(llm, STACKED).items():
        stacked.copy_(torch.cat([part[key] for part in parts], dim=0 if "lora_A" in key else 1))
