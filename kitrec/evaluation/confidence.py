"""RQ4: does a stated confidence (1-10) foretell the rating (1-5) the user gave the truth?

    half:    c / 2                      KitREC's own definition, 0.5 ... 5
    affine:  1 + (c - 1) * 4 / 9        1 -> 1, 10 -> 5: the two scales laid over each other
Errors are taken where the item named first is the truth, and over all answers as they were declared. What states no
confidence, or has no rating, is left out and counted; of nothing there is no error (null), not an error of zero."""

from typing import Any

import numpy as np
import polars as pl

SCALES = {"half": lambda c: c / 2, "affine": lambda c: 1 + (c - 1) * 4 / 9}
LEVELS = range(1, 11)


def stated(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """One row per written answer: method, confidence, rating, and whether the item named first is the truth."""
    written = rankings.filter(pl.col("kind") == "written")
    joined = written.join(records.select("record_id", "gt_item_id", "gt_rating"), on="record_id", validate="m:1")
    first = pl.col("item_ids").list.first() == pl.col("gt_item_id")
    return joined.select("method", "confidence", rating="gt_rating", right=first.fill_null(False))


def errors(answers: pl.DataFrame) -> dict[str, Any]:
    """Of one method: coverage, and MAE and RMSE by scale, of right answers and of all."""
    known = answers.drop_nulls()
    groups = {"right": known.filter(pl.col("right")), "all": known}
    found: dict[str, Any] = {"n": answers.height, "coverage": round(known.height / max(answers.height, 1), 4)}
    for group, rows in groups.items():
        found[group] = {"n": rows.height, **{name: _error(rows, scale) for name, scale in SCALES.items()}}
    return found


def _error(rows: pl.DataFrame, scale: Any) -> dict[str, float | None]:
    gap = scale(rows["confidence"].to_numpy()) - rows["rating"].to_numpy()
    if not len(gap):
        return {"mae": None, "rmse": None}
    return {"mae": round(float(np.abs(gap).mean()), 6), "rmse": round(float(np.sqrt(np.square(gap).mean())), 6)}


def calibration(answers: pl.DataFrame) -> pl.DataFrame:
    """By method and stated level: how many, how often right, the mean rating of the truth."""
    return (
        answers.drop_nulls("confidence")
        .group_by("method", "confidence")
        .agg(
            pl.len().alias("n"), pl.col("right").mean().round(6).alias("right_share"), pl.col("rating").mean().round(6)
        )
        .sort("method", "confidence")
    )
