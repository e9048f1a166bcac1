"""One vLLM engine for a base and any number of adapters, served side by side as LoRA requests."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitrec.llm import cpu_platform
from kitrec.llm.adapters import check_adapter
from kitrec.llm.params import Engine
from kitrec.llm.pinned_base import PinnedBase
from kitrec.llm.requests import Request

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # the ranks vLLM has kernels for; a rank between is served by the next


@dataclass(frozen=True)
class Reply:
    """What the model wrote, and why it stopped."""

    text: str
    tokens: int
    finish_reason: str


class VllmEngine:
    """generate(requests) for one base; adapters are folders by name."""

    def __init__(self, base: PinnedBase, engine: Engine, adapters: dict[str, Path], *, seed: int, quiet: bool) -> None:
        _configure_process(engine)
        cpu_platform.check_active()
        from vllm import LLM  # only after the process is configured: vLLM reads its environment on import
        from vllm.lora.request import LoRARequest

        configs = {name: check_adapter(folder, base) for name, folder in adapters.items()}
        self._quiet = quiet
        self._loras = {
            name: LoRARequest(name, number, str(folder))
            for number, (name, folder) in enumerate(adapters.items(), start=1)
        }
        self._llm = LLM(
            base.path,
            revision=base.revision,
            dtype=engine.dtype,
            seed=seed,
            max_model_len=engine.max_model_len,
            max_num_seqs=engine.max_parallel,
            gpu_memory_utilization=engine.memory_share,
            enforce_eager=not _on_gpu(),
            disable_log_stats=True,
            use_tqdm_on_load=False,
            trust_remote_code=False,
            **_lora_options(configs),
        )

    def generate(self, requests: list[Request], *, max_new_tokens: int, temperature: float, seed: int) -> list[Reply]:
        """One engine call for all requests; its replies depend on nothing that was asked before."""
        from vllm import SamplingParams, TokensPrompt

        self._llm.reset_prefix_cache()
        sampling = SamplingParams(
            temperature=temperature, max_tokens=max_new_tokens, seed=seed, skip_special_tokens=False
        )
        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=r.prompt) for r in requests],
            sampling,
            lora_request=self._adapters_of(requests),
            use_tqdm=not self._quiet,
        )
        return [Reply(o.outputs[0].text, len(o.outputs[0].token_ids), str(o.outputs[0].finish_reason)) for o in outputs]

    def _adapters_of(self, requests: list[Request]) -> Any:
        """One LoRA request or None per prompt, or None for an engine without adapters."""
        return [self._loras[r.adapter] if r.adapter else None for r in requests] if self._loras else None


def _lora_options(configs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Exactly the rank needed; one slot more than adapters, as stock CPU kernels mistake the base for the last slot."""
    if not configs:
        return {}
    rank = max(config["r"] for config in configs.values())
    return {
        "enable_lora": True,
        "max_loras": len(configs) + 1,
        "max_lora_rank": next(r for r in RANKS if r >= rank),
        "lora_target_modules": list(next(iter(configs.values()))["target_modules"]),
    }


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _configure_process(engine: Engine) -> None:
    """Engine in this process (a kill leaves nothing running), no network, no usage reports."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, round(engine.kv_cache_gib))),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
