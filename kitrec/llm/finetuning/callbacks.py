"""Callbacks of Trainer: throughput of the updates, and trackers whose failure never stops a training."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback


class Throughput(TrainerCallback):
    """Counts tokens and seconds of the updates of this process, without evaluations; after a resume only the rest."""

    def __init__(self) -> None:
        self.seconds = self._started = 0.0
        self._tokens = self._supervised = 0

    def count(self, tokens: int, supervised: int) -> None:
        """Add the tokens of a micro-batch."""
        self._tokens += tokens
        self._supervised += supervised

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._started = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds += time.monotonic() - self._started

    def metrics(self) -> dict[str, int]:
        """Return tokens per second, and the peak of device memory where there is a GPU."""
        seconds = max(self.seconds, 1e-9)
        metrics = {
            "tokens_per_second": round(self._tokens / seconds),
            "supervised_tokens_per_second": round(self._supervised / seconds),
        }
        if torch.cuda.is_available():
            metrics["peak_device_memory_mib"] = torch.cuda.max_memory_allocated() // 2**20
        return metrics


class FaultTolerantTracker(TrainerCallback):
    """A tracker's callback, created when training starts and switched off by its first failure."""

    def __init__(self, name: str, create: Callable[[], TrainerCallback]) -> None:
        self._name, self._create = name, create
        self._tracker: TrainerCallback | None = None

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        def start() -> None:
            self._tracker = self._create()
            self._tracker.on_train_begin(*args, **kwargs)

        self._guarded(start)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        if tracker := self._tracker:
            self._guarded(lambda: tracker.on_log(*args, **kwargs))

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        if tracker := self._tracker:
            self._guarded(lambda: tracker.on_train_end(*args, **kwargs))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as problem:  # whatever breaks in a tracker, the hours of training are worth more
            self._tracker = None
            print(f"{self._name} is off from here on: {type(problem).__name__}: {problem}", file=sys.stderr)


def tracker_callbacks(names: Sequence[str], run_name: str, folder: Path) -> list[TrainerCallback]:
    """Return the callbacks of `launch.trackers`; their files go under `folder`."""
    return [FaultTolerantTracker(name, partial(_TRACKERS[name], run_name, folder)) for name in names]


def _tensorboard(run_name: str, folder: Path) -> TrainerCallback:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(str(folder / "tensorboard" / run_name)))


def _wandb(run_name: str, folder: Path) -> TrainerCallback:
    from transformers.integrations.integration_utils import WandbCallback

    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("WANDB_PROJECT", "kitrec"), ("WANDB_DIR", str(folder)), ("WANDB_NAME", run_name)):
        os.environ.setdefault(name, value)
    return WandbCallback()


_TRACKERS: dict[str, Callable[[str, Path], TrainerCallback]] = {"tensorboard": _tensorboard, "wandb": _wandb}
