"""Perplexity of rationales where they stand, token-weighted: exp(- sum_i loglik_i / sum_i tokens_i).

Under the writing model it says how sure the model was of its words, under the base how ordinary they are."""

import math
from typing import Any

import polars as pl


def perplexities(rationales: pl.DataFrame) -> dict[str, Any]:
    """Of one method: how many answers have a rationale, and its perplexity to writer and base (null without any)."""
    known = rationales.drop_nulls()
    tokens = int(known["tokens"].sum())
    sums = {name: known[f"loglik_{name}"].sum() for name in ("writer", "base")}
    found = {name: round(math.exp(-total / tokens), 4) if tokens else None for name, total in sums.items()}
    return {
        "n": known.height,
        "coverage": round(known.height / max(rationales.height, 1), 4),
        "tokens": tokens,
        **found,
    }
