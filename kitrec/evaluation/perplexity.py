"""Perplexity of rationales in their context, token-weighted: exp(- sum_i loglik_i / sum_i tokens_i).

Under the writing model it measures how certain the model was, under the base how common the wording is. Intervals: 95 %
BCa of the mean per token, by resampled users; the exponential keeps their order."""

from typing import Any

import numpy as np
import polars as pl

from kitrec.evaluation.answer_means import rounded
from kitrec.evaluation.bootstrap import Resampling, user_sums
from kitrec.evaluation.strata import ALL

MODELS = ("writer", "base")
_NUMBERS = tuple(f"{model}{bound}" for model in MODELS for bound in ("", "_low", "_high"))


def perplexities(
    rationales: pl.DataFrame, stratum: str = ALL, member: str = ALL, *, resampling: Resampling
) -> dict[str, Any]:
    """Return coverage and perplexity of one method's rationales under writer and base (null without rationales)."""
    columns = [f"loglik_{model}" for model in MODELS]
    scored = rationales.drop_nulls(["tokens", *columns]).filter(pl.col("tokens") > 0)
    tokens = scored["tokens"].to_numpy().astype(float)
    metrics: dict[str, Any] = {
        "n": scored.height,
        "coverage": round(scored.height / max(rationales.height, 1), 4),
        "tokens": int(tokens.sum()),
    }
    if scored.is_empty():
        return metrics | dict.fromkeys(_NUMBERS)
    per_token = -scored.select(columns).to_numpy() / tokens[:, None]
    users = user_sums(scored["user_id"].to_numpy(), per_token, weights=tokens)
    bounds = np.exp(np.stack(resampling.means_and_intervals(users, stratum, member)))
    return metrics | rounded(dict(zip(_NUMBERS, bounds.T.ravel(), strict=True)))
