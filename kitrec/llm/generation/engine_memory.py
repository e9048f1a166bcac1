"""The memory plan of an engine: weights, adapters, the cache of one sequence of full length, logits of a step."""

from dataclasses import replace

import torch

from kitrec.core.errors import InputError
from kitrec.llm.base import memory_plan
from kitrec.llm.base.memory_plan import LINEAR_BYTES, MemoryPlan, ModelSize, in_gib, model_size, weight_bytes
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.generation.params import Engine


def serving_plan(size: ModelSize, engine: Engine, adapters: int, rank: int, device_gib: float) -> MemoryPlan:
    """Return the plan of an engine that answers or scores with adapters of at most this rank."""
    width, shared = LINEAR_BYTES[engine.dtype], engine.tensor_parallel_size
    precision = engine.dtype if engine.quantization == "none" else engine.quantization
    slots = adapters + 1 if adapters else 0
    parts = {
        "weights": weight_bytes(size, precision, width) / shared,
        "one sequence": size.cache_per_token * width * engine.max_model_len / shared,
        "adapters": slots * rank * size.projections * width,
        "logits": engine.max_num_seqs * size.vocabulary * (width + 4),
    }
    return in_gib(parts, device_gib * engine.gpu_memory_utilization)


def check_fits(base: PinnedBase, engine: Engine, adapters: int, rank: int) -> MemoryPlan:
    """Return the plan of an engine, or raise an error with its numbers and a setting that would fit."""
    size, device = model_size(base), memory_plan.device_memory()
    needed = serving_plan(size, engine, adapters, rank, device)
    if not needed.fits:
        way_out = _way_out(size, engine, device, adapters, rank)
        raise InputError(f"{base.path} does not fit this device: it needs {needed}; {way_out}")
    return needed


def _way_out(size: ModelSize, engine: Engine, device: float, adapters: int, rank: int) -> str:
    smaller = serving_plan(size, replace(engine, quantization="fp8"), adapters, rank, device)
    if smaller.fits and torch.cuda.is_available():
        return f"engine.quantization: fp8 needs {smaller}"
    return "lower engine.max_model_len, take a larger device, or a smaller base"
