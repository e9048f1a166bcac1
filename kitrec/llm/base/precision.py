"""The base in the weights that a param names."""

from typing import Any, Literal

import torch

from kitrec.llm.base.loading import load_for_serving, load_quantised
from kitrec.llm.base.pinning import PinnedBase

BaseWeights = Literal["nf4", "bf16", "f32"]


def load_in(base: PinnedBase, weights: BaseWeights) -> Any:
    """On one device, to be frozen or adapted."""
    if weights == "nf4":
        return load_quantised(base)
    return load_for_serving(base, torch.bfloat16 if weights == "bf16" else torch.float32)
