"""Several adapters at once, each row of a batch with weights of its own.

    y = W x + s sum_g w_g B_g A_g x  =  W x + s [B_1 ... B_G] diag(w_1 I ... w_G I) [A_1; ...; A_G] x
The adapters stand one under the other as one LoRA of rank G r, whose inner values are weighted per row. That equals
merging by concatenation, for every user apart and without an adapter per user; it is not the linear merge
(sum w A)(sum w B), which mixes A_g with B_h. With one weight per user folded into A, one row's mixture is an ordinary
adapter again, that any engine serves. Shapes: B rows, T positions, G adapters of rank r."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, PeftModel

from kitrec.core.errors import InputError
from kitrec.thinkrec.model import adapter_weights

STACKED = "stacked"


class Stack:
    """Adapters of a PEFT model side by side, in the order of their names; `weighted` says who counts how much."""

    def __init__(self, llm: PeftModel, names: Sequence[str]) -> None:
        configs = [_config(llm, name) for name in names]
        shapes = {(own.r, own.lora_alpha, tuple(sorted(own.target_modules or ()))) for own in configs}
        if len(shapes) > 1:
            raise InputError(f"adapters {', '.join(names)} differ in rank, alpha or layers; train them by one section")
        self._rank = configs[0].r
        self._weights: torch.Tensor | None = None
        self._llm, self._names = llm, list(names)
        _stack(llm, names)
        for name, module in llm.named_modules():
            if name.endswith(f"lora_A.{STACKED}"):
                module.register_forward_hook(self._weigh)

    @contextmanager
    def weighted(self, weights: torch.Tensor) -> Iterator[None]:
        """Inside, row b of a batch is answered by the adapters weighted with weights[b]; weights are [B, G]."""
        before = self._llm.active_adapter
        self._llm.set_adapter(STACKED)
        self._weights = weights.repeat_interleave(self._rank, dim=1)
        try:
            yield
        finally:
            self._weights = None
            self._llm.set_adapter(before)

    def _weigh(self, _module: Any, _inputs: Any, inner: torch.Tensor) -> torch.Tensor:
        if self._weights is None:
            return inner
        each = len(inner) // len(self._weights)  # a user may have several rows, one after the other
        own = self._weights.repeat_interleave(each, dim=0)[:, None, :]
        return inner * own.to(inner.device, inner.dtype)

    def folded(self, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        """One user's mixture [G] as the weights of an ordinary adapter of rank G r."""
        each = weights.repeat_interleave(self._rank)
        found = adapter_weights(self._llm, STACKED)
        return {
            name: (own * each[:, None].to(own.dtype) if "lora_A" in name else own).detach().clone()
            for name, own in found.items()
        }


def _config(llm: PeftModel, name: str) -> LoraConfig:
    own = llm.peft_config[name]
    assert isinstance(own, LoraConfig)
    return own


@torch.no_grad()
def _stack(llm: PeftModel, names: Sequence[str]) -> None:
    """Add the LoRA of rank G r; its alpha keeps the scale s = alpha / r."""
    own = _config(llm, names[0])
    config = LoraConfig(
        r=own.r * len(names),
        lora_alpha=own.lora_alpha * len(names),
        lora_dropout=0.0,
        target_modules=own.target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )
    llm.add_adapter(STACKED, config)
    parts = [adapter_weights(llm, name) for name in names]
    for key, stacked in adapter_weights(llm, STACKED).items():
        stacked.copy_(torch.cat([part[key] for part in parts], dim=0 if "lora_A" in key else 1))
