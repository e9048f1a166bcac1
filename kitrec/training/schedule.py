"""Learning-rate schedules as factors of the highest rate: warm-up from 0, then constant, linear or cosine to 0."""

import math
from typing import Literal

import torch


def half_cosine(position: float, length: float) -> float:
    """Return 1 at position 0, falling to 0 at the end of the length."""
    return 0.5 * (1 + math.cos(math.pi * position / length))


def rate_factor(schedule: Literal["constant", "linear", "cosine"], warmup_ratio: float, done: float) -> float:
    """Return the factor at a share `done` of all planned epochs."""
    if done < warmup_ratio:
        return done / warmup_ratio
    left = (1 - done) / (1 - warmup_ratio) if warmup_ratio < 1 else 1.0
    return {"constant": 1.0, "linear": left, "cosine": half_cosine(1 - left, 1)}[schedule]


def warmup_cosine(warmup_ratio: float, done: float) -> float:
    """Return the factor of a linear warm-up and half a cosine, at a share `done` of all updates."""
    if done < warmup_ratio:
        return done / warmup_ratio
    return half_cosine(done - warmup_ratio, 1 - warmup_ratio)


def warmup_cosine_of_update(warmup_ratio: float, update: int, updates: int) -> float:
    """Return the same in whole updates (from 0): the first update of a warm-up already changes the weights."""
    warmup = round(warmup_ratio * updates)
    if update < warmup:
        return (update + 1) / warmup
    return half_cosine(update - warmup, max(updates - warmup, 1))


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float, factor: float) -> None:
    """Set the rate of all parameter groups; the `rate_share` of a group scales it."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get("rate_share", 1.0) * factor
