"""The adapter of the models of this room: LoRA on all linear layers of the base but its head, which changes nothing at
first. The base below it is frozen."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from kitrec.llm.base.layers import lora_targets, refuse_changed_logits
from kitrec.titles.params import Adapter


def with_adapter(llm: Any, p: Adapter) -> Any:
    """Return the base with a fresh adapter."""
    refuse_changed_logits(llm.config)
    config = LoraConfig(
        r=p.rank,
        lora_alpha=p.alpha,
        lora_dropout=p.dropout,
        target_modules=lora_targets(llm),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(llm, config)


def adapter_weights(llm: Any) -> dict[str, torch.nn.Parameter]:
    """Return the adapter's parameters by their position in the base."""
    return {name.replace(".default.", "."): weight for name, weight in llm.named_parameters() if ".lora_" in name}
