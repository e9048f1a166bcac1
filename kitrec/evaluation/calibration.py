"""RQ4: does the stated confidence (1-10) predict the rating (1-5) that the user gave the held-out item?

    halved:  c / 2                      KitREC's own definition, 0.5 ... 5
    affine:  1 + (c - 1) * 4 / 9        1 -> 1, 10 -> 5: the two scales laid over each other
Errors are over correct answers (the first item is the held-out one) and over all answers. Answers without a confidence
or a rating are excluded and counted; errors over no answers are null, not zero."""

from typing import Any

import numpy as np
import polars as pl

SCALES = {"halved": lambda c: c / 2, "affine": lambda c: 1 + (c - 1) * 4 / 9}


def stated_confidence(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return one row per written answer: method, confidence, rating, and whether its first item is correct."""
    written = rankings.filter(pl.col("kind") == "written")
    joined = written.join(records.select("record_id", "gt_item_id", "gt_rating"), on="record_id", validate="m:1")
    correct = pl.col("item_ids").list.first() == pl.col("gt_item_id")
    return joined.select("method", "confidence", rating="gt_rating", correct=correct.fill_null(False))


def calibration_errors(answers: pl.DataFrame) -> dict[str, Any]:
    """Return coverage, MAE and RMSE of one method by scale, over correct and over all answers."""
    rated = answers.drop_nulls()
    groups = {"correct": rated.filter(pl.col("correct")), "all": rated}
    metrics: dict[str, Any] = {"n": answers.height, "coverage": round(rated.height / max(answers.height, 1), 4)}
    for group, rows in groups.items():
        metrics[group] = {"n": rows.height, **{name: _error(rows, scale) for name, scale in SCALES.items()}}
    return metrics


def _error(rows: pl.DataFrame, scale: Any) -> dict[str, float | None]:
    gap = scale(rows["confidence"].to_numpy()) - rows["rating"].to_numpy()
    if not len(gap):
        return {"mae": None, "rmse": None}
    return {"mae": round(float(np.abs(gap).mean()), 6), "rmse": round(float(np.sqrt(np.square(gap).mean())), 6)}


def calibration_curve(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the number of answers, their accuracy and the mean rating, by method and confidence level."""
    return (
        answers.drop_nulls("confidence")
        .group_by("method", "confidence")
        .agg(pl.len().alias("n"), pl.col("correct").mean().round(6).alias("accuracy"), pl.col("rating").mean().round(6))
        .sort("method", "confidence")
    )
