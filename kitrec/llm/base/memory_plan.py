"""Will a base, its adapters and one full-length sequence fit the device? Computed before anything is loaded.

weights   Σ parameters × bytes / GPUs that share them; in FP8 one byte for linear weights inside the decoder
cache     2 · layers · kv heads · head size · bytes per token, for one sequence of max_model_len
adapters  slots · rank · Σ over projections (in + out) · bytes"""

from dataclasses import dataclass, replace

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.arguments import PROJECTIONS
from kitrec.llm.generation.params import Engine

GIB = 2**30
RESERVE_GIB = 1.5  # activations and the engine itself


@dataclass(frozen=True)
class Shape:
    """What the memory of a base depends on."""

    linear_weights: int
    other_weights: int
    projections: int
    cache_per_token: int


@dataclass(frozen=True)
class Plan:
    """GiB by part, and what the engine may use."""

    weights: float
    cache: float
    adapters: float
    allowed: float

    @property
    def needed(self) -> float:
        """All parts and the reserve."""
        return self.weights + self.cache + self.adapters + RESERVE_GIB

    @property
    def fits(self) -> bool:
        """Whether the device can hold it."""
        return self.needed <= self.allowed

    def __str__(self) -> str:
        parts = f"weights {self.weights:.1f}, one sequence {self.cache:.2f}, adapters {self.adapters:.2f}"
        return f"{self.needed:.1f} GiB ({parts}, engine {RESERVE_GIB}) of {self.allowed:.1f} GiB"


def shape_of(base: PinnedBase) -> Shape:
    """The base's shape from its configuration alone."""
    config = AutoConfig.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    modules = dict(model.model.named_modules())
    linear = {name: m for name, m in modules.items() if isinstance(m, torch.nn.Linear)}
    inside = sum(m.weight.numel() for m in linear.values())
    whole = sum(p.numel() for p in model.parameters())  # tied weights count once
    adapted = [m for name, m in linear.items() if name.rpartition(".")[2] in PROJECTIONS]
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * size
    return Shape(inside, whole - inside, sum(m.in_features + m.out_features for m in adapted), cache)


def plan(shape: Shape, engine: Engine, adapters: int, rank: int, device_gib: float) -> Plan:
    """The plan for `adapters` adapters of at most this rank on a device of this size."""
    width = 2 if engine.dtype == "bfloat16" else 4
    linear = 1 if engine.quantisation == "fp8" else width
    weights = shape.linear_weights * linear + shape.other_weights * width
    slots = adapters + 1 if adapters else 0
    return Plan(
        weights / engine.tensor_parallel / GIB,
        shape.cache_per_token * width * engine.max_model_len / engine.tensor_parallel / GIB,
        slots * rank * shape.projections * width / GIB,
        device_gib * engine.memory_share,
    )


def device_memory() -> float:
    """GiB of the GPU, or what is free of the machine's memory where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / GIB
    return psutil.virtual_memory().available / GIB


def check_fits(base: PinnedBase, engine: Engine, adapters: int, rank: int) -> Plan:
    """The plan, or an error with its numbers and what would fit."""
    shape, device = shape_of(base), device_memory()
    asked = plan(shape, engine, adapters, rank, device)
    if not asked.fits:
        way_out = _way_out(shape, engine, device, adapters, rank)
        raise InputError(f"{base.path} does not fit this device: it needs {asked}; {way_out}")
    return asked


def _way_out(shape: Shape, engine: Engine, device: float, adapters: int, rank: int) -> str:
    smaller = plan(shape, replace(engine, quantisation="fp8"), adapters, rank, device)
    if smaller.fits and torch.cuda.is_available():
        return f"engine.quantisation: fp8 needs {smaller}"
    return "lower engine.max_model_len, take a larger device, or a smaller base"
