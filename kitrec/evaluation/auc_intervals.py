"""AUC and UAUC of like/dislike prediction with 95% intervals, and paired differences, by resampled users.

Resampling users gives each row the weight of its user, so AUC is computed with weights (kitrec/core/auc.py). Intervals
are BCa (bootstrap.py). Shapes: R rows, U users, B resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.core.auc import WeightedAUC, auc_by_user
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import accelerations, intervals

METRICS = ("auc", "uauc")
_SUFFIXES = ("", "_low", "_high")


@dataclass(frozen=True)
class AUCEstimate:
    """AUC and UAUC of the true rows, of every resample [B, 2] and of the rows without each user [U, 2]; AUC alone if no
    user has both labels."""

    values: np.ndarray
    resampled: np.ndarray
    without_each: np.ndarray

    def to_dict(self) -> dict[str, float]:
        """Return each metric with its 95% interval, rounded to five digits."""
        low, high = intervals(self.values, self.resampled, accelerations(self.without_each))
        rows = zip(METRICS, self.values, low, high, strict=False)
        return {
            f"{name}{suffix}": round(float(number), 5)
            for name, *numbers in rows
            for suffix, number in zip(_SUFFIXES, numbers, strict=True)
        }


def like_prediction_auc(rankings: pl.DataFrame, records: pl.DataFrame, resamples: int, seed: int) -> AUCEstimate:
    """Estimate AUC and UAUC of the ground truth against the other candidates of its record.

    A user with two target domains counts as two users, as in training."""
    user = pl.format("{}:{}", "user_id", "target").alias("user")
    rows = rankings.join(records.select("record_id", "gt_item_id", user), on="record_id", maintain_order="left")
    pairs = rows.select("user", "gt_item_id", "item_ids", "scores").explode("item_ids", "scores")
    labels = (pairs["item_ids"] == pairs["gt_item_id"]).cast(pl.Int8).to_numpy()
    return bootstrap_auc(labels, pairs["scores"].to_numpy(), pairs["user"].to_list(), resamples, seed)


def bootstrap_auc(
    labels: np.ndarray, scores: np.ndarray, users: Sequence[str], resamples: int, seed: int
) -> AUCEstimate:
    """Estimate AUC and UAUC; one seed resamples the same users whatever the scores, so that differences are paired."""
    if len(set(labels.tolist())) < 2:
        raise InputError("AUC needs liked and disliked rows; here all labels are the same")
    user_index = np.unique(users, return_inverse=True)[1]
    weighted, by_user = WeightedAUC(labels, scores), auc_by_user(labels, scores, user_index)
    user_count = int(user_index.max()) + 1
    rng = generator(seed, "resampled users")

    def both(weights: np.ndarray) -> tuple[float, float]:
        counted = weights * ~np.isnan(by_user)
        mean = float(counted @ np.nan_to_num(by_user) / counted.sum()) if counted.sum() else np.nan
        return weighted.value(weights[user_index]), mean

    metric_count = 1 if np.isnan(by_user).all() else 2  # without a user of both labels there is no UAUC
    draws = (rng.integers(0, user_count, user_count) for _ in range(resamples))
    resampled = np.array([both(np.bincount(draw, minlength=user_count)) for draw in draws])[:, :metric_count]
    without = [_auc_without_each(labels, scores, user_index, by_user), _mean_without_each(by_user)]
    values = np.array(both(np.ones(user_count)))[:metric_count]
    finite = ~np.isnan(resampled).any(axis=1)
    return AUCEstimate(values, resampled[finite], np.stack(without, axis=1)[:, :metric_count])


def paired_difference(first: AUCEstimate, second: AUCEstimate) -> Mapping[str, float]:
    """Return by how much `first` exceeds `second`, and the two-sided p-value of the paired bootstrap."""
    gaps = first.resampled - second.resampled
    tails = (np.minimum((gaps <= 0).sum(axis=0), (gaps >= 0).sum(axis=0)) + 1) / (len(gaps) + 1)
    differences = first.values - second.values
    result = {name: round(float(value), 5) for name, value in zip(METRICS, differences, strict=False)}
    return result | {f"{name}_p": round(float(min(1, 2 * tail)), 5) for name, tail in zip(METRICS, tails, strict=False)}


def _auc_without_each(
    labels: np.ndarray, scores: np.ndarray, user_index: np.ndarray, by_user: np.ndarray
) -> np.ndarray:
    """AUC of all rows but those of one user [U]: all pairs won, less those with a row of that user (pairs of two rows
    of the user are subtracted once)."""
    positive, score_index = labels == 1, np.unique(scores, return_inverse=True)[1]
    positives, negatives = np.bincount(score_index, positive), np.bincount(score_index, ~positive)
    below = (negatives.cumsum() - negatives / 2)[score_index]  # negative rows below each row
    above = (positives.sum() - positives.cumsum() + positives / 2)[score_index]  # positive rows above each row
    p, n = np.bincount(user_index, positive), np.bincount(user_index, ~positive)
    of_user = np.bincount(user_index, np.where(positive, below, above)) - np.nan_to_num(by_user) * p * n
    pairs = (p.sum() - p) * (n.sum() - n)
    won = below[positive].sum() - of_user
    return np.divide(won, pairs, out=np.full(len(p), np.nan), where=pairs > 0)


def _mean_without_each(by_user: np.ndarray) -> np.ndarray:
    """Mean of all users' AUC but one's [U]; users without an AUC do not count."""
    real = ~np.isnan(by_user)
    left = real.sum() - real
    total = np.nansum(by_user) - np.nan_to_num(by_user)
    return np.divide(total, left, out=np.full(len(by_user), np.nan), where=left > 0)
