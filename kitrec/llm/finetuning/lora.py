"""Adapters by name on a frozen base: LoRA (Hu et al., ICLR 2022) of all its linear layers, several side by side."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from kitrec.llm.base.layers import lora_targets, refuse_changed_logits
from kitrec.llm.base.params import Adapter


def with_adapter(llm: Any, p: Adapter, name: str) -> Any:
    """Add a fresh LoRA on all linear layers but the head, beside existing ones."""
    refuse_changed_logits(llm.config)
    config = LoraConfig(
        r=p.rank,
        lora_alpha=p.alpha,
        lora_dropout=p.dropout,
        target_modules=lora_targets(llm),
        bias="none",
        task_type="CAUSAL_LM",
    )
    if isinstance(llm, PeftModel):
        llm.add_adapter(name, config)
        return llm
    return get_peft_model(llm, config, adapter_name=name)


def adapter_weights(llm: PeftModel, name: str) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of one adapter by their position in the LLM."""
    marks = (f".lora_A.{name}.", f".lora_B.{name}.")
    return {
        key.replace(mark, mark.replace(f".{name}.", ".")): weight
        for key, weight in llm.named_parameters()
        for mark in marks
        if mark in key
    }


@torch.no_grad()
def copy_adapter(llm: PeftModel, source: str, target: str) -> None:
    """Copy the weights of one adapter to another."""
    weights = adapter_weights(llm, source)
    for key, weight in adapter_weights(llm, target).items():
        weight.copy_(weights[key])
