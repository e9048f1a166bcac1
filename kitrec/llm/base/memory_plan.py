"""Memory needed by a base, its adapters and one sequence of full length, computed before anything is loaded.

weights   Σ parameters × bytes / GPUs that share them; in FP8 one byte for linear weights inside the decoder
cache     2 · layers · kv heads · head size · bytes per token, for one sequence of max_model_len
adapters  slots · rank · Σ over projections (in + out) · bytes"""

from dataclasses import dataclass, replace

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.params import PROJECTIONS
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.generation.params import Engine

GIB = 2**30
RESERVE_GIB = 1.5  # activations and the engine itself


@dataclass(frozen=True)
class ModelSize:
    """The counts that the memory of a base depends on."""

    linear_weights: int
    other_weights: int
    projections: int
    cache_per_token: int


@dataclass(frozen=True)
class MemoryPlan:
    """GiB per part, and the GiB that the engine may use."""

    weights: float
    cache: float
    adapters: float
    allowed: float

    @property
    def needed(self) -> float:
        """GiB of all parts and the reserve."""
        return self.weights + self.cache + self.adapters + RESERVE_GIB

    @property
    def fits(self) -> bool:
        """Whether the device can hold all parts."""
        return self.needed <= self.allowed

    def __str__(self) -> str:
        parts = f"weights {self.weights:.1f}, one sequence {self.cache:.2f}, adapters {self.adapters:.2f}"
        return f"{self.needed:.1f} GiB ({parts}, engine {RESERVE_GIB}) of {self.allowed:.1f} GiB"


def model_size(base: PinnedBase) -> ModelSize:
    """Return the base's size from its configuration alone."""
    config = AutoConfig.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    modules = dict(model.model.named_modules())
    linear = {name: m for name, m in modules.items() if isinstance(m, torch.nn.Linear)}
    linear_weights = sum(m.weight.numel() for m in linear.values())
    total = sum(p.numel() for p in model.parameters())  # tied weights count once
    adapted = [m for name, m in linear.items() if name.rpartition(".")[2] in PROJECTIONS]
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * head_size
    widths = sum(m.in_features + m.out_features for m in adapted)
    return ModelSize(linear_weights, total - linear_weights, widths, cache)


def plan(size: ModelSize, engine: Engine, adapters: int, rank: int, device_gib: float) -> MemoryPlan:
    """Return the plan for `adapters` adapters of at most this rank on a device of this size."""
    width = 2 if engine.dtype == "bfloat16" else 4
    linear = 1 if engine.quantization == "fp8" else width
    weights = size.linear_weights * linear + size.other_weights * width
    slots = adapters + 1 if adapters else 0
    return MemoryPlan(
        weights / engine.tensor_parallel_size / GIB,
        size.cache_per_token * width * engine.max_model_len / engine.tensor_parallel_size / GIB,
        slots * rank * size.projections * width / GIB,
        device_gib * engine.gpu_memory_utilization,
    )


def device_memory() -> float:
    """Return the GiB of the GPU, or the free GiB of the machine's memory where there is no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / GIB
    return psutil.virtual_memory().available / GIB


def check_fits(base: PinnedBase, engine: Engine, adapters: int, rank: int) -> MemoryPlan:
    """Return the plan, or raise an error with its numbers and a setting that would fit."""
    size, device = model_size(base), device_memory()
    needed = plan(size, engine, adapters, rank, device)
    if not needed.fits:
        way_out = _way_out(size, engine, device, adapters, rank)
        raise InputError(f"{base.path} does not fit this device: it needs {needed}; {way_out}")
    return needed


def _way_out(size: ModelSize, engine: Engine, device: float, adapters: int, rank: int) -> str:
    smaller = plan(size, replace(engine, quantization="fp8"), adapters, rank, device)
    if smaller.fits and torch.cuda.is_available():
        return f"engine.quantization: fp8 needs {smaller}"
    return "lower engine.max_model_len, take a larger device, or a smaller base"
