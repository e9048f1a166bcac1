"""The shape of a base: what an adapter needs of it, whatever precision its weights are stored in.

An AWQ, GPTQ or FP8 copy has the shape of the base it was made from, so adapters of that base fit it too."""

import hashlib
import json
from typing import Any

from transformers import AutoConfig

from kitrec.llm.base.pinning import PinnedBase

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
BITS = {"awq": 4.0, "gptq": 4.0, "fp8": 8.0, "bitsandbytes": 4.0}  # of a weight, where the configuration names none
SCALES = 1.06  # scales and zeros beside packed weights: 16 + 4 bits in a group of 128 of 4 bits, and less in others


def base_config(base: PinnedBase) -> Any:
    """Read the base's configuration."""
    return AutoConfig.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)


def quantisation(config: Any) -> dict[str, Any]:
    """Return how the base is quantised by its own configuration; empty for a base of whole weights."""
    stored = getattr(config, "quantization_config", None) or {}
    return stored if isinstance(stored, dict) else dict(stored.to_dict())


def quantisation_name(base: PinnedBase) -> str | None:
    """Return the name of the base's own quantisation (awq, gptq, fp8, compressed-tensors), or None."""
    return quantisation(base_config(base)).get("quant_method")


def stored_bytes(config: Any) -> float | None:
    """Return the bytes of a linear weight in a base that is quantised by its own configuration."""
    stored = quantisation(config)
    if not stored:
        return None
    groups = [group.get("weights") or {} for group in (stored.get("config_groups") or {}).values()]
    bits = stored.get("bits") or max((group.get("num_bits", 0) for group in groups), default=0)
    return (bits or BITS.get(str(stored.get("quant_method")), 16.0)) / 8 * SCALES


def shape_fingerprint(base: PinnedBase, tokenizer: Any) -> str:
    """Return a hash of the base's sizes and of its vocabulary; quantised copies of a base have the same."""
    config = base_config(base)
    heads = config.num_attention_heads
    sizes = {name: getattr(config, name, None) for name in SIZES}
    sizes["head_dim"] = getattr(config, "head_dim", None) or config.hidden_size // heads
    vocabulary = sorted((token, int(number)) for token, number in tokenizer.get_vocab().items())
    parts = [config.model_type, sizes, vocabulary]
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
