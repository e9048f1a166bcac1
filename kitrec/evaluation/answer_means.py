"""Means of what answers hold (characters of their thought, items of the history they refer to), with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from kitrec.evaluation.bootstrap import Resampling, user_sums

Numbers = dict[str, float | int | None]


def answer_means(
    rows: pl.DataFrame, stratum: str, member: str, *, columns: Sequence[str], resampling: Resampling
) -> dict[str, int | Numbers]:
    """Return n, and of each column the mean over all answers with its interval and the share of answers above zero."""
    values = rows.select(columns).to_numpy().astype(float)
    users = user_sums(rows["user_id"].to_numpy(), values)
    bounds = zip(*resampling.means_and_intervals(users, stratum, member), strict=True)
    shares = (values > 0).mean(axis=0)
    means: Mapping[str, Numbers] = {
        name: {**rounded({"mean": mean, "low": low, "high": high}), "share": round(float(share), 4)}
        for name, (mean, low, high), share in zip(columns, bounds, shares, strict=True)
    }
    return {"n": rows.height, **means}


def rounded(values: Mapping[str, np.floating], digits: int = 4) -> Numbers:
    """Return plain rounded numbers."""
    return {name: round(float(value), digits) for name, value in values.items()}
