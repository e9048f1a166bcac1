"""The parts of a causal language model by its own interfaces, and the refusals of families that lack what is needed.

Every part of this project runs the transformer and its head apart: logits exist only where they are needed. So the
head's outputs must be the logits, layers must keep keys and values of all positions, and LoRA adapts the linear layers
between embedding and head, whatever a family calls them."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from kitrec.core.errors import InputError
from kitrec.llm.base.params import PROJECTIONS
from kitrec.prompts.chat_template import read_end_of_turn

ATTENTIONS = ("full_attention", "sliding_attention")
_BEHIND_THE_HEAD = ("final_logit_softcapping", "logits_scaling", "logit_scale")  # Gemma 2, Granite, Cohere


def decoder_of(model: Any) -> Any:
    """Return the transformer without its head, adapters in place."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).get_decoder()


def keep_first_layers(model: Any, count: int) -> None:
    """Drop all layers behind the first `count`; the decoder then ends in their hidden states, without its last norm."""
    decoder = decoder_of(model)
    if not hasattr(decoder, "layers") or not hasattr(decoder, "norm"):
        raise InputError(f"layers: {model.config.model_type} cannot be cut behind its first layers; set it to null")
    if count > len(decoder.layers):
        raise InputError(f"layers: {model.config.model_type} has {len(decoder.layers)}, not {count}; null is all")
    decoder.layers, decoder.norm = decoder.layers[:count], torch.nn.Identity()


def linear_layers(model: Any) -> dict[str, Any]:
    """Return the linear layers by name, but for the head; where adapters stand on one, the frozen layer below them."""
    parts, head = dict(model.named_modules()), model.get_output_embeddings()
    adapted = {name: part.base_layer for name, part in parts.items() if hasattr(part, "base_layer")}
    inside = tuple(f"{name}." for name in adapted)
    kinds = (torch.nn.Linear, Conv1D)
    plain = {name: part for name, part in parts.items() if isinstance(part, kinds) and not name.startswith(inside)}
    return {name: part for name, part in (plain | adapted).items() if part is not head}


def lora_targets(model: Any) -> list[str]:
    """Return the names of the layers that LoRA adapts: all linear ones but the head, as PEFT's `all-linear` does."""
    names = {name.rpartition(".")[2] for name in linear_layers(model)}
    if not names:
        raise InputError(f"{model.config.model_type} has no linear layers that LoRA could adapt: take another base")
    return [*(name for name in PROJECTIONS if name in names), *sorted(names - set(PROJECTIONS))]


def refuse_changed_logits(config: Any) -> None:
    """Refuse families that scale or cap the logits of their head: here the head alone is evaluated."""
    changed = [name for name in _BEHIND_THE_HEAD if getattr(config, name, None) not in (None, 1, 1.0)]
    if changed:
        raise InputError(
            f"{config.model_type} changes its logits behind the head ({', '.join(changed)}), so likelihoods would be "
            "wrong: take a base that uses the logits of its head unchanged, such as Qwen3 or Llama"
        )


def refuse_biased_head(model: Any) -> None:
    """Refuse a head with a bias, which the training loss leaves out."""
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        raise InputError(
            f"the output layer of {model.config.model_type} has a bias, which the loss does not support: "
            "use another base"
        )


def ends_of_generation(model: Any, tokenizer: Any) -> list[int]:
    """Return the tokens that end a generation: those of the base's configuration, and the end of a turn."""
    named = getattr(model.generation_config, "eos_token_id", None)
    of_base = named if isinstance(named, list) else [named]
    return sorted({read_end_of_turn(tokenizer), *(token for token in of_base if token is not None)})


def attention_kinds(config: Any) -> set[str]:
    """Return the kinds of attention that the layers have; refuse layers that keep no keys and values of all tokens."""
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    kinds = set(getattr(config, "layer_types", None) or [ATTENTIONS[window is not None]])
    if unknown := sorted(kinds - set(ATTENTIONS)):
        raise InputError(
            f"layers of {config.model_type} attend by {', '.join(unknown)}: texts that share a beginning cannot be "
            "scored from its keys and values; take a base of full or sliding attention, such as Qwen3, Llama or Gemma 3"
        )
    return kinds


def masks_by_kind(
    config: Any, visible: torch.Tensor, distance: torch.Tensor
) -> torch.Tensor | Mapping[str, torch.Tensor]:
    """Return what a decoder takes as its mask: `visible` [B, N, M], or one for each kind of its layers.

    `distance` [B, N, M] is that from a position to the one it may attend to; a sliding window ends before it."""
    kinds = attention_kinds(config)
    masks = {ATTENTIONS[0]: visible[:, None]}
    if ATTENTIONS[1] in kinds:
        masks[ATTENTIONS[1]] = (visible & (distance < config.sliding_window))[:, None]
    return {kind: masks[kind] for kind in sorted(kinds)} if len(kinds) > 1 else masks[min(kinds)]
