"""The device of a process: a GPU where torch sees one, or what `trainer.device` says.

It is decided on before anything else looks for a GPU: torch, accelerate, bitsandbytes and the memory plans all do."""

import os
from typing import Literal

import torch
from accelerate import PartialState

from kitrec.core.errors import InputError

HIDDEN = ""  # of CUDA_VISIBLE_DEVICES


def use_device(device: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device of this process; `cpu` hides the GPUs from it and from those it starts."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = HIDDEN
    elif device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "trainer.device: cuda, and torch sees no GPU: set auto or cpu, or see what `kitrec doctor --gpu` says"
        )
    return PartialState(cpu=device == "cpu" or not torch.accelerator.is_available()).device
