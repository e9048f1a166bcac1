"""Trackers beside the project's own curves. A tracker that fails says so once; training goes on."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class Harmless(TrainerCallback):
    """A tracker's callback, made at the start of training, silenced by its first failure."""

    def __init__(self, name: str, make: Callable[[], TrainerCallback]) -> None:
        self._name, self._make = name, make
        self._tracker: TrainerCallback | None = None

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        def begin() -> None:
            self._tracker = self._make()
            self._tracker.on_train_begin(*args, **kwargs)

        self._guarded(begin)

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


def trackers(names: Sequence[str], run: str, folder: Path) -> list[TrainerCallback]:
    """The callbacks of `launch.trackers`; what they keep on disk goes under `folder`."""
    return [Harmless(name, partial(_MAKERS[name], run, folder)) for name in names]


def _tensorboard(run: str, folder: Path) -> TrainerCallback:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(str(folder / "tensorboard" / run)))


def _wandb(run: str, folder: Path) -> TrainerCallback:
    from transformers.integrations.integration_utils import WandbCallback

    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("WANDB_PROJECT", "kitrec"), ("WANDB_DIR", str(folder)), ("WANDB_NAME", run)):
        os.environ.setdefault(name, value)
    return WandbCallback()


_MAKERS: dict[str, Callable[[str, Path], TrainerCallback]] = {"tensorboard": _tensorboard, "wandb": _wandb}
