"""What the pipeline takes from a base, in words; a base that breaks an assumption is refused before any training."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.layers import (
    attention_kinds,
    linear_layers,
    lora_targets,
    refuse_biased_head,
    refuse_changed_logits,
)
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.shape import base_config, stored_bytes
from kitrec.prompts.tokens import Encoder


def describe_base(base: PinnedBase) -> dict[str, str]:
    """Return name -> value; raise where the base cannot be used."""
    encoder = check_base(base)
    model = _empty_model(base)
    layers = linear_layers(model)
    marks = encoder.marks
    return {
        "architecture": f"{model.config.model_type}, {sum(p.numel() for p in model.parameters()):,} weights",
        "end of turn": f"{encoder.text([encoder.end_of_turn])!r} ({encoder.end_of_turn})",
        "prompt": repr(encoder.text(encoder.prompt("…", thinking=False))),
        "thoughts": "known to the chat template"
        if encoder.template_thinks
        else "plain text, which fine-tuning teaches",
        "thought marks": f"{len(marks.think)} and {len(marks.end_think)} tokens",
        "attention": ", ".join(sorted(attention_kinds(model.config))),
        "LoRA adapts": f"{', '.join(lora_targets(model))} ({len(layers)} layers)",
    }


def check_base(base: PinnedBase) -> Encoder:
    """Return the encoder of a base; refuse by name a base that breaks what the pipeline needs."""
    encoder = Encoder(load_tokenizer(base))
    model = _empty_model(base)
    if not callable(getattr(model, "get_decoder", None)) or model.get_output_embeddings() is None:
        raise InputError(f"{base.path} ({model.config.model_type}) has no decoder with a head of its own: take another")
    refuse_changed_logits(model.config)
    refuse_biased_head(model)
    attention_kinds(model.config)
    lora_targets(model)
    rows = model.get_input_embeddings().num_embeddings
    if beyond := [token for token in (*encoder.ends, *encoder.prompt("", thinking=True)) if token >= rows]:
        raise InputError(f"{base.path}: the chat template writes token {beyond[0]}, the base has embeddings of {rows}")
    return encoder


def _empty_model(base: PinnedBase) -> Any:
    """Return the model without its weights."""
    config = base_config(base)
    if stored_bytes(config):
        del config.quantization_config  # the layers are those of its twin of whole weights
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
