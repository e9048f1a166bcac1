"""Recovery from a lack of memory: the same work again in smaller parts, until it fits or one sample is too much.

What shrinks is how many samples are in memory at once, never the samples of an update: a training learns the same."""

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

import torch

from kitrec.core.errors import InputError

P = TypeVar("P")
R = TypeVar("R")


def means_out_of_memory(problem: BaseException) -> bool:
    """Return whether an error of CUDA, of torch's CPU allocator or of Python means a lack of memory."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(problem) or "out of memory" in str(problem).lower()


def run_in_memory(
    run: Callable[[P], R], size: P, smaller: Callable[[P], P], describe: Callable[[P], str]
) -> tuple[R, P]:
    """Return what `run` returns and the size at which it had enough memory; `describe` says what is tried next."""
    while True:
        try:
            return run(size), size
        except (RuntimeError, MemoryError, InputError) as problem:  # each device and launcher has an error of its own
            if not means_out_of_memory(problem):
                raise
            size = smaller(size)
            print(f"out of memory: {describe(size)}", file=sys.stderr)
        gc.collect()  # outside of `except`, where the error still holds the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def smaller_part(size: int, whole: int) -> int:
    """Return the next smaller number of samples that divides `whole`; refuse less than one sample."""
    if size == 1:
        raise InputError(
            "out of memory with one sample at a time: set gradient_checkpointing, shorten the prompts, or use a "
            "larger device"
        )
    return next(part for part in range(size // 2, 0, -1) if whole % part == 0)
