"""RQ4: does the stated confidence (1-10) predict the rating (1-5) that the user gave the held-out item?

    halved:  c / 2                      KitREC's own definition, 0.5 ... 5
    affine:  1 + (c - 1) * 4 / 9        1 -> 1, 10 -> 5: the two scales laid over each other
Errors are over correct answers (the first item is the held-out one) and over all answers. Answers without a confidence
or a rating are excluded and counted; errors over no answers are null, not zero. Intervals: 95 % BCa, by resampled
users."""

from functools import partial
from typing import Any

import numpy as np
import polars as pl

from kitrec.evaluation.answer_means import Numbers, rounded
from kitrec.evaluation.bootstrap import Resampling, user_sums
from kitrec.evaluation.strata import ALL, all_and_by_stratum, with_strata

ERRORS = ("mae", "mae_low", "mae_high", "rmse", "rmse_low", "rmse_high")
SCALES = {"halved": lambda c: c / 2, "affine": lambda c: 1 + (c - 1) * 4 / 9}


def stated_confidence(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return one row per written answer: method, confidence, rating, whether its first item is correct, its strata."""
    written = with_strata(rankings.filter(pl.col("kind") == "written"), records)
    joined = written.join(records.select("record_id", "gt_item_id", "gt_rating"), on="record_id", validate="m:1")
    correct = pl.col("item_ids").list.first() == pl.col("gt_item_id")
    return joined.select(
        "method", "confidence", "user_id", "target", "core", "user_type", rating="gt_rating",
        correct=correct.fill_null(False),
    )  # fmt: skip


def errors_by_method(stated: pl.DataFrame, resampling: Resampling) -> dict[str, Any]:
    """Return method -> its errors over all answers, and in every stratum."""
    measure = partial(calibration_errors, resampling=resampling)
    methods = stated["method"].unique().sort().to_list()
    return {name: all_and_by_stratum(stated.filter(pl.col("method") == name), measure) for name in methods}


def calibration_errors(
    answers: pl.DataFrame, stratum: str = ALL, member: str = ALL, *, resampling: Resampling
) -> dict[str, Any]:
    """Return coverage, MAE and RMSE of one method by scale, over correct and over all answers, with intervals."""
    rated = answers.drop_nulls(["confidence", "rating"])
    groups = {"correct": rated.filter(pl.col("correct")), "all": rated}
    metrics: dict[str, Any] = {"n": answers.height, "coverage": round(rated.height / max(answers.height, 1), 4)}
    for group, rows in groups.items():
        metrics[group] = {"n": rows.height, **_errors(rows, resampling, stratum, member)}
    return metrics


def _errors(rows: pl.DataFrame, resampling: Resampling, stratum: str, member: str) -> dict[str, Numbers]:
    """Return scale -> MAE and RMSE; the bounds of an RMSE are the roots of those of the mean square."""
    if rows.is_empty():
        return {scale: dict.fromkeys(ERRORS) for scale in SCALES}
    confidence, rating = rows["confidence"].to_numpy(), rows["rating"].to_numpy()
    gaps = [scale(confidence) - rating for scale in SCALES.values()]
    values = np.column_stack([power for gap in gaps for power in (np.abs(gap), np.square(gap))])
    users = user_sums(rows["user_id"].to_numpy(), values)
    bounds = np.stack(resampling.means_and_intervals(users, stratum, member))  # [mean, low, high; MAE, MSE by scale]
    bounds = np.maximum(bounds, 0)
    bounds[:, 1::2] = np.sqrt(bounds[:, 1::2])
    return {
        scale: rounded(dict(zip(ERRORS, bounds[:, 2 * k : 2 * k + 2].T.ravel(), strict=True)), 6)
        for k, scale in enumerate(SCALES)
    }


def calibration_curve(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the number of answers, their accuracy and the mean rating, by method and confidence level."""
    return (
        answers.drop_nulls("confidence")
        .group_by("method", "confidence")
        .agg(pl.len().alias("n"), pl.col("correct").mean().round(6).alias("accuracy"), pl.col("rating").mean().round(6))
        .sort("method", "confidence")
    )
