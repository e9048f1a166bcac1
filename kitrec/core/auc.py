"""AUC over all rows, and UAUC: the mean AUC of the users with both labels. Rows may have weights.

    AUC = P(s+ > s-) + P(s+ = s-) / 2                 over pairs of a positive and a negative row
For the distinct scores v from low to high, with weights P_v of positive and N_v of negative rows,
    AUC = sum_v P_v (N_<v + N_v / 2) / (P N).
Shapes: R rows, U users, V distinct scores."""

from collections.abc import Sequence

import numpy as np


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUC over all rows; both labels must occur."""
    return float(WeightedAUC(labels, scores).value(np.ones(len(labels))))


def uauc(labels: np.ndarray, scores: np.ndarray, users: Sequence[str]) -> float:
    """Mean AUC of the users with both labels."""
    return float(np.nanmean(auc_by_user(labels, scores, np.unique(users, return_inverse=True)[1])))


class WeightedAUC:
    """Rows grouped by their score, so that AUC is cheap for any weights."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        distinct, self._score_index = np.unique(scores, return_inverse=True)
        self._positive, self._count = labels == 1, len(distinct)

    def value(self, weights: np.ndarray) -> float:
        """Return AUC of the rows with these weights [R]; NaN if one label has no weight."""
        positive = np.bincount(self._score_index, weights * self._positive, self._count)
        negative = np.bincount(self._score_index, weights * ~self._positive, self._count)
        pairs = positive.sum() * negative.sum()
        return float(positive @ (negative.cumsum() - negative / 2) / pairs) if pairs else np.nan


def auc_by_user(labels: np.ndarray, scores: np.ndarray, user_index: np.ndarray) -> np.ndarray:
    """AUC of each user's rows [U], NaN where one label is missing; `user_index` [R] numbers the users from 0."""
    order = np.argsort(user_index, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(user_index[order])) + 1)
    return np.array([WeightedAUC(labels[rows], scores[rows]).value(np.ones(len(rows))) for rows in parts])
