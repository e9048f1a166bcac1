"""AUC over all rows and UAUC, the mean AUC of users with both labels; intervals and differences by resampled users.

    AUC = P(s+ > s-) + P(s+ = s-) / 2                 over pairs of a liked and a disliked row
Resampling users gives each row its user's weight, so AUC is taken with weights: for the distinct scores v from low to
high, with weights P_v of liked and N_v of disliked rows,  AUC = sum_v P_v (N_<v + N_v / 2) / (P N).
Intervals are BCa (kitrec/evaluation/bootstrap.py). Shapes: R rows, U users, V distinct scores, B resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import accelerations, intervals

NAMES = ("auc", "uauc")


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Over all rows; both labels must occur."""
    return float(_Pooled(labels, scores).auc(np.ones(len(labels))))


def uauc(labels: np.ndarray, scores: np.ndarray, users: Sequence[str]) -> float:
    """The mean over users with both labels."""
    return float(np.nanmean(_by_user(labels, scores, np.unique(users, return_inverse=True)[1])))


@dataclass(frozen=True)
class Judged:
    """Both numbers of the true rows, of every resample [B, 2] and of the rows without each user [U, 2]; AUC alone where
    no user has both labels."""

    values: np.ndarray
    resampled: np.ndarray
    without_each: np.ndarray

    def told(self) -> dict[str, float]:
        """Each number with its 95% interval."""
        low, high = intervals(self.values, self.resampled, accelerations(self.without_each))
        rows = zip(NAMES, self.values, low, high, strict=False)
        named = [(name, value, least, most) for name, value, least, most in rows]
        return {f"{n}{end}": round(float(v), 5) for n, *own in named for end, v in zip(_ENDS, own, strict=True)}


_ENDS = ("", "_low", "_high")


def judged(labels: np.ndarray, scores: np.ndarray, users: Sequence[str], resamples: int, seed: int) -> Judged:
    """The same seed resamples the same users for whatever scores, so that differences are paired."""
    if len(set(labels.tolist())) < 2:
        raise InputError("AUC needs liked and disliked rows; here all labels are the same")
    number = np.unique(users, return_inverse=True)[1]
    pooled, own, count = _Pooled(labels, scores), _by_user(labels, scores, number), int(number.max()) + 1
    rng = generator(seed, "resampled users")

    def both(weights: np.ndarray) -> tuple[float, float]:
        counted = weights * ~np.isnan(own)
        mean = float(counted @ np.nan_to_num(own) / counted.sum()) if counted.sum() else np.nan
        return pooled.auc(weights[number]), mean

    count_of = 1 if np.isnan(own).all() else 2  # without a user of both labels there is no UAUC
    drawn = [both(np.bincount(rng.integers(0, count, count), minlength=count)) for _ in range(resamples)]
    found = np.array(drawn)[:, :count_of]
    without = np.stack([_auc_without_each(labels, scores, number, own), _mean_without_each(own)], axis=1)
    values = np.array(both(np.ones(count)))[:count_of]
    return Judged(values, found[~np.isnan(found).any(axis=1)], without[:, :count_of])


def better(one: Judged, other: Judged) -> Mapping[str, float]:
    """By how much `one` is ahead, and the two-sided p of the paired bootstrap that it is not."""
    gap = one.resampled - other.resampled
    share = (np.minimum((gap <= 0).sum(axis=0), (gap >= 0).sum(axis=0)) + 1) / (len(gap) + 1)
    ahead = one.values - other.values
    told = {name: round(float(value), 5) for name, value in zip(NAMES, ahead, strict=False)}
    return told | {f"{name}_p": round(float(min(1, 2 * own)), 5) for name, own in zip(NAMES, share, strict=False)}


class _Pooled:
    """Rows grouped by their score, ready for any weights."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        distinct, self._value = np.unique(scores, return_inverse=True)
        self._liked, self._count = labels == 1, len(distinct)

    def auc(self, weights: np.ndarray) -> float:
        liked = np.bincount(self._value, weights * self._liked, self._count)
        rest = np.bincount(self._value, weights * ~self._liked, self._count)
        pairs = liked.sum() * rest.sum()
        return float(liked @ (rest.cumsum() - rest / 2) / pairs) if pairs else np.nan


def _auc_without_each(labels: np.ndarray, scores: np.ndarray, number: np.ndarray, own: np.ndarray) -> np.ndarray:
    """[U] AUC of all rows but a user's: the pairs won, less those with a row of theirs (with two: taken off once)."""
    liked, value = labels == 1, np.unique(scores, return_inverse=True)[1]
    likes, rests = np.bincount(value, liked), np.bincount(value, ~liked)
    lost = (rests.cumsum() - rests / 2)[value]  # rests below each row
    won = (likes.sum() - likes.cumsum() + likes / 2)[value]  # likes above each row
    p, n = np.bincount(number, liked), np.bincount(number, ~liked)
    theirs = np.bincount(number, np.where(liked, lost, won)) - np.nan_to_num(own) * p * n
    pairs = (p.sum() - p) * (n.sum() - n)
    left = lost[liked].sum() - theirs
    return np.divide(left, pairs, out=np.full(len(p), np.nan), where=pairs > 0)


def _mean_without_each(own: np.ndarray) -> np.ndarray:
    """[U] the mean of all users' numbers but one's; users without a number stand aside."""
    real = ~np.isnan(own)
    left = real.sum() - real
    return np.divide(np.nansum(own) - np.nan_to_num(own), left, out=np.full(len(own), np.nan), where=left > 0)


def _by_user(labels: np.ndarray, scores: np.ndarray, number: np.ndarray) -> np.ndarray:
    """[U] each user's own AUC, NaN where one label is missing."""
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    return np.array([_Pooled(labels[rows], scores[rows]).auc(np.ones(len(rows))) for rows in parts])
