"""What every vLLM engine of this project is started with, whatever it is asked."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.generation import cpu_platform
from kitrec.llm.generation.params import Engine

STEP_TOKENS = 4096  # read in one step of the engine, at least
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # the ranks vLLM has kernels for; a rank between is served by the next


def configure_process(engine: Engine) -> None:
    """Engine in this process (a kill leaves nothing running), no network, no usage reports.

    To be called before vLLM is imported, which reads its environment then."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, round(engine.kv_cache_gib))),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    _let_vllm_look()
    cpu_platform.check_active()


def _let_vllm_look() -> None:
    """vLLM's CPU build reads `__dict__` of whatever any module holds; llvmlite's library (numba) makes a C function
    of every name it is asked, so a process that has numba could start no engine."""
    ffi: Any = sys.modules.get("llvmlite.binding.ffi")
    if ffi is not None:
        ffi.lib._fntab.setdefault("__dict__", {})


def engine_options(base: PinnedBase, engine: Engine, seed: int) -> dict[str, Any]:
    """The base and how the machine is used."""
    gpu = _on_gpu()
    return {
        "model": base.path,
        "revision": base.revision,
        "dtype": engine.dtype,
        "seed": seed,
        "max_model_len": engine.max_model_len,
        "max_num_seqs": engine.max_parallel,
        "gpu_memory_utilization": engine.memory_share,
        "quantization": None if engine.quantisation == "none" else engine.quantisation,
        "tensor_parallel_size": engine.tensor_parallel,
        "enforce_eager": not gpu,
        # A prompt is never read in two steps on CPU: there vLLM breaks where such a prompt is sampled with a seed.
        "enable_chunked_prefill": gpu,
        "max_num_batched_tokens": None if gpu else max(engine.max_model_len, STEP_TOKENS),
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "trust_remote_code": False,
    }


def lora_options(adapters: int, rank: int, modules: Sequence[str]) -> dict[str, Any]:
    """Exactly the rank needed; one slot more than adapters, as stock CPU kernels mistake the base for the last slot."""
    if not adapters:
        return {}
    return {
        "enable_lora": True,
        "max_loras": adapters + 1,
        "max_lora_rank": next(r for r in RANKS if r >= rank),
        "lora_target_modules": list(modules),
    }


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
