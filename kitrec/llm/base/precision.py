"""The number format in which this machine computes a base that is asked for in bfloat16.

A processor without instructions for bfloat16 (no AVX-512) multiplies in it some fifty times slower than in float32, so
there float32 takes its place: more memory, the same weights, finer rounding."""

import sys
from functools import cache


@cache
def computes_in_bf16() -> bool:
    """Return whether bfloat16 is quick here: on a GPU, or where torch multiplies it by the processor's own kernels."""
    import torch  # an engine's process is configured before torch is there

    return torch.cuda.is_available() or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def compute_dtype(dtype: str) -> str:
    """Return the name of the format to compute in: the one that is asked for, or float32 where bfloat16 is slow."""
    if dtype != "bfloat16" or computes_in_bf16():
        return dtype
    _tell()
    return "float32"


@cache
def _tell() -> None:
    print("NOTE: this processor has no instructions for bfloat16: the base is computed in float32", file=sys.stderr)
