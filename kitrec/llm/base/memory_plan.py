"""Memory of every use of a base, computed from its configuration before anything is loaded.

weights      Σ parameters × bytes / devices that share them; linear weights of the decoder in the precision of the use
adapters     slots · rank · Σ over projections (in + out) · bytes; in training with gradients and two moments
cache        2 · layers · kv heads · head size · bytes per token
activations  tokens · (10 · hidden + 4 · intermediate) · bytes of a layer, twice in training; in training also what is
             kept for the backward pass: the inputs of all layers, or without checkpointing all of their activations
logits       rows that exist at a time · vocabulary · bytes (of the logits and of their log-softmax in float32)"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import psutil
import torch
from transformers import AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.layers import linear_layers
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.shape import base_config, stored_bytes

GIB = 2**30
RESERVE_GIB = 1.5  # the libraries themselves, and fragmentation
LOGIT_ROWS = 1024  # positions whose logits exist at a time, in training and in scoring
SCORED_TOKENS = 16_384  # tokens of prompts that are scored together
LINEAR_BYTES = {"nf4": 4.127 / 8, "fp8": 1.0, "bf16": 2.0, "f32": 4.0, "bfloat16": 2.0, "float32": 4.0}


@dataclass(frozen=True)
class ModelSize:
    """The counts that the memory of a base depends on."""

    linear_weights: int
    other_weights: int
    projections: int
    cache_per_token: int
    hidden: int
    intermediate: int
    layers: int
    vocabulary: int
    stored_bytes: float | None  # of a linear weight, where the base itself is quantised


@dataclass(frozen=True)
class TrainingLoad:
    """What a training keeps on a device: precision of the base, rank of its adapters, tokens of a micro-batch."""

    weights: str
    rank: int
    batch_size: int
    length: int
    checkpointing: bool
    devices: int = 1  # that share the base
    whole_logits: bool = False  # of all tokens at once, as TRL computes them


@dataclass(frozen=True)
class MemoryPlan:
    """GiB per part, and the GiB that may be used."""

    parts: Mapping[str, float]
    allowed: float

    @property
    def needed(self) -> float:
        """GiB of all parts and the reserve."""
        return sum(self.parts.values()) + RESERVE_GIB

    @property
    def fits(self) -> bool:
        """Whether the device can hold all parts."""
        return self.needed <= self.allowed

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size:.2f}" for name, size in self.parts.items())
        return f"{self.needed:.1f} GiB ({parts}, reserve {RESERVE_GIB}) of {self.allowed:.1f} GiB"


def model_size(base: PinnedBase) -> ModelSize:
    """Return the base's size from its configuration alone."""
    config = base_config(base)
    stored = stored_bytes(config)
    if stored:
        del config.quantization_config  # the shape is that of its twin of whole weights
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    linear = [m for m in linear_layers(model).values() if isinstance(m, torch.nn.Linear)]
    linear_weights = sum(m.weight.numel() for m in linear)
    total = sum(p.numel() for p in model.parameters())  # tied weights count once
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return ModelSize(
        linear_weights=linear_weights,
        other_weights=total - linear_weights,
        projections=sum(m.in_features + m.out_features for m in linear),
        cache_per_token=2 * config.num_hidden_layers * heads * head_size,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        layers=config.num_hidden_layers,
        vocabulary=config.vocab_size,
        stored_bytes=stored,
    )


def reading_plan(
    size: ModelSize, weights: str, adapters: int, rank: int, device_gib: float, tokens: int = SCORED_TOKENS
) -> MemoryPlan:
    """Return the plan of reading `tokens` tokens at once without gradients (transformers): scores of any kind."""
    width = max(2.0, LINEAR_BYTES[weights])  # NF4 computes in bf16
    parts = {
        "weights": weight_bytes(size, weights, width),
        "cache": size.cache_per_token * width * tokens,
        "adapters": adapters * rank * size.projections * 4,
        "activations": _layer(size, tokens, width),
        "logits": LOGIT_ROWS * size.vocabulary * (width + 8),
    }
    return in_gib(parts, device_gib)


def training_plan(size: ModelSize, load: TrainingLoad, device_gib: float) -> MemoryPlan:
    """Return the plan of a training with a frozen base."""
    width = max(2.0, LINEAR_BYTES[load.weights])
    tokens = load.batch_size * load.length
    layer = _layer(size, tokens, width)
    kept = size.layers * (tokens * size.hidden * width if load.checkpointing else layer)
    parts = {
        "weights": weight_bytes(size, load.weights, width) / load.devices,
        "adapters": load.rank * size.projections * 16,  # float32: weight, gradient and two moments
        "activations": kept + 2 * layer,
        "logits": (tokens if load.whole_logits else LOGIT_ROWS) * size.vocabulary * (width + 8),
    }
    return in_gib(parts, device_gib)


def device_memory() -> float:
    """Return the GiB of the GPU, or the free GiB of the machine's memory where there is no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / GIB
    return psutil.virtual_memory().available / GIB


def check_scoring(base: PinnedBase, weights: str, adapters: int, rank: int) -> None:
    """Check the plan of scoring by transformers."""
    needed = reading_plan(model_size(base), weights, adapters, rank, device_memory())
    _refuse(base, needed, "set engine.quantization: fp8, or base.served to an AWQ copy: the engine then scores as well")


def check_training(base: PinnedBase, load: TrainingLoad, *, shrinks: bool = False) -> None:
    """Check the plan of a training; one that `shrinks` its micro-batch where memory is short, at a single sample."""
    least = replace(load, batch_size=1) if shrinks else load
    needed = training_plan(model_size(base), least, device_memory())
    _refuse(base, needed, "take NF4 weights, gradient checkpointing, shorter prompts, smaller batches or a larger card")


def _refuse(base: PinnedBase, needed: MemoryPlan, way_out: str) -> None:
    """Raise an error on a GPU; without one, warn: free memory says little, and a CPU can swap."""
    if needed.fits:
        return
    problem = f"{base.path} does not fit this device: it needs {needed}; {way_out}"
    if torch.cuda.is_available():
        raise InputError(problem)
    print(f"WARNING: {problem}", file=sys.stderr)


def in_gib(parts: Mapping[str, float], allowed: float) -> MemoryPlan:
    """Return the plan of parts in bytes."""
    return MemoryPlan({name: size / GIB for name, size in parts.items()}, allowed)


def weight_bytes(size: ModelSize, precision: str, width: float) -> float:
    """Return the bytes of the base: its linear weights in this precision, the others in the width of the use."""
    return size.linear_weights * (size.stored_bytes or LINEAR_BYTES[precision]) + size.other_weights * width


def _layer(size: ModelSize, tokens: int, width: float) -> float:
    return tokens * (10 * size.hidden + 4 * size.intermediate) * width
