"""Several adapters at once, with separate weights for each row of a batch.

    y = W x + s sum_g w_g B_g A_g x  =  W x + s [B_1 ... B_G] diag(w_1 I ... w_G I) [A_1; ...; A_G] x
The adapters are stacked into one LoRA of rank G r, whose inner values are weighted per row. That equals merging by
concatenation, separately for every user and without an adapter per user; it is not the linear merge
(sum w A)(sum w B), which mixes A_g with B_h. With a user's weights folded into A, the mixture is an ordinary adapter
again, which any engine can serve. Shapes: B rows, T positions, G adapters of rank r."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, PeftModel

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.lora import adapter_weights

STACKED = "stacked"


class StackedAdapters:
    """Adapters of a PEFT model side by side, in the order of their names; `weighted` sets their weights."""

    def __init__(self, llm: PeftModel, names: Sequence[str]) -> None:
        configs = [_config(llm, name) for name in names]
        shapes = {(config.r, config.lora_alpha, tuple(sorted(config.target_modules or ()))) for config in configs}
        if len(shapes) > 1:
            raise InputError(f"adapters {', '.join(names)} differ in rank, alpha or layers; train them with one config")
        self._rank = configs[0].r
        self._weights: torch.Tensor | None = None
        self._llm, self._names = llm, list(names)
        _stack(llm, names)
        for name, module in llm.named_modules():
            if name.endswith(f"lora_A.{STACKED}"):
                module.register_forward_hook(self._weigh)

    @contextmanager
    def weighted(self, weights: torch.Tensor) -> Iterator[None]:
        """Within the context, row b of a batch is computed with adapters weighted by weights[b]; weights are [B, G]."""
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
        rows_per_user = len(inner) // len(self._weights)  # rows of a user are consecutive
        weights = self._weights.repeat_interleave(rows_per_user, dim=0)[:, None, :]
        return inner * weights.to(inner.device, inner.dtype)

    def folded(self, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return one user's mixture [G] as the weights of an ordinary adapter of rank G r."""
        scales = weights.repeat_interleave(self._rank)
        return {
            name: (weight * scales[:, None].to(weight.dtype) if "lora_A" in name else weight).detach().clone()
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
