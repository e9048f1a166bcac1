"""Adapters as PEFT itself writes them, with nothing of this project beside their weights."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def made_foreign(base: Path, folder: Path, *, seed: int = 0, **options: Any) -> Path:
    """Write a random adapter of the base by PEFT's own save_pretrained."""
    torch.manual_seed(seed)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION, "task_type": "CAUSAL_LM"} | options
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(**options))
    for key, parameter in model.named_parameters():
        if "lora_B" in key:
            parameter.data = torch.randn_like(parameter) * 0.1
    model.save_pretrained(folder)
    return folder
