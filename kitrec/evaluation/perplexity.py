"""Perplexity of rationales in their context, token-weighted: exp(- sum_i loglik_i / sum_i tokens_i).

Under the writing model it measures how certain the model was, under the base how common the wording is."""

import math
from typing import Any

import polars as pl


def perplexities(rationales: pl.DataFrame) -> dict[str, Any]:
    """Return coverage and perplexity of one method's rationales under writer and base (null without rationales)."""
    scored = rationales.drop_nulls()
    tokens = int(scored["tokens"].sum())
    sums = {name: scored[f"loglik_{name}"].sum() for name in ("writer", "base")}
    values = {name: round(math.exp(-total / tokens), 4) if tokens else None for name, total in sums.items()}
    return {
        "n": scored.height,
        "coverage": round(scored.height / max(rationales.height, 1), 4),
        "tokens": tokens,
        **values,
    }
