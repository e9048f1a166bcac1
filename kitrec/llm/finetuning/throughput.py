"""How fast training goes: tokens seen in updates, and the time the updates took (without evaluations)."""

import time
from typing import Any

import torch
from transformers import TrainerCallback


class Pace(TrainerCallback):
    """Counts what this process computed since it began; after a resume only the rest."""

    def __init__(self) -> None:
        self.seconds = self._began = 0.0
        self._tokens = self._supervised = 0

    def count(self, tokens: int, supervised: int) -> None:
        """A micro-batch of an update."""
        self._tokens += tokens
        self._supervised += supervised

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds += time.monotonic() - self._began

    def measured(self) -> dict[str, int]:
        """Tokens per second, and the peak of device memory where there is a device."""
        seconds = max(self.seconds, 1e-9)
        found = {
            "tokens_per_second": round(self._tokens / seconds),
            "supervised_tokens_per_second": round(self._supervised / seconds),
        }
        if torch.cuda.is_available():
            found["peak_device_memory_mib"] = torch.cuda.max_memory_allocated() // 2**20
        return found
