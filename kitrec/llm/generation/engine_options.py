"""Options that every vLLM engine of this project starts with."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.precision import compute_dtype
from kitrec.llm.generation import cpu_platform
from kitrec.llm.generation.params import Engine

STEP_TOKENS = 4096  # least number of tokens that one step of the engine reads
LORA_RANKS = (
    1,
    8,
    16,
    32,
    64,
    128,
    256,
    320,
    512,
)  # ranks of vLLM's kernels; others take the next


def configure_process(engine: Engine) -> None:
    """Set vLLM's environment: engine in this process (a kill leaves nothing running), no network, no usage reports.

    Call it before vLLM is imported, which reads its environment on import."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, round(engine.kv_cache_gib))),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    _allow_dict_lookup()
    cpu_platform.check_active()


def _allow_dict_lookup() -> None:
    """Let vLLM's CPU build read the `__dict__` of all that modules hold, llvmlite's library (numba) among them.

    That library makes a C function of every name it is asked for, so no engine could start beside numba."""
    ffi: Any = sys.modules.get("llvmlite.binding.ffi")
    if ffi is not None:
        ffi.lib._fntab.setdefault("__dict__", {})


def engine_options(base: PinnedBase, engine: Engine, seed: int) -> dict[str, Any]:
    """Return the options of the base and of the machine's use."""
    gpu = _on_gpu()
    return {
        "model": base.path,
        "revision": base.revision,
        "dtype": compute_dtype(engine.dtype),
        "seed": seed,
        "max_model_len": engine.max_model_len,
        "max_num_seqs": engine.max_num_seqs,
        "gpu_memory_utilization": engine.gpu_memory_utilization,
        "quantization": None if engine.quantization == "none" else engine.quantization,
        "tensor_parallel_size": engine.tensor_parallel_size,
        "enforce_eager": not gpu,
        # A prompt is never read in two steps on CPU: there vLLM breaks where such a prompt is sampled with a seed.
        "enable_chunked_prefill": gpu,
        "max_num_batched_tokens": None if gpu else max(engine.max_model_len, STEP_TOKENS),
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "trust_remote_code": False,
    }


def lora_options(adapters: int, rank: int, modules: Sequence[str]) -> dict[str, Any]:
    """Return the LoRA options, with a slot more than adapters: stock CPU kernels mistake the base for the last slot."""
    if not adapters:
        return {}
    return {
        "enable_lora": True,
        "max_loras": adapters + 1,
        "max_lora_rank": next(r for r in LORA_RANKS if r >= rank),
        "lora_target_modules": list(modules),
    }


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
