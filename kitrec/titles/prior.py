"""How much popularity counts when candidates are ranked, chosen on development users.

    rank by s(u, i) + λ log q_i
A model that learned log p(i | u) - log p(i) needs λ = 1 where candidates are drawn at random, and none where all are
equally popular; between them λ is a matter of the candidates, and of how far s is calibrated.
Shapes: B records, C candidates."""

from collections.abc import Sequence

import numpy as np

from kitrec.core.ranking_metrics import expected_metric

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
METRIC = "ndcg@10"


def chosen_weight(scores: np.ndarray, log_shares: np.ndarray, ground_truth: np.ndarray) -> tuple[float, float]:
    """Return λ with the best NDCG@10 on development records and that value; of equals the smallest.

    `scores` and `log_shares` are [B, C] with NaN behind shorter lists, `ground_truth` the column of the true item."""
    values = {weight: mean_ndcg(scores + weight * log_shares, ground_truth) for weight in WEIGHTS}
    best = max(WEIGHTS, key=lambda weight: values[weight])
    return best, values[best]


def mean_ndcg(scores: np.ndarray, ground_truth: np.ndarray) -> float:
    """Return the mean NDCG@10 of scores [B, C] with NaN behind shorter lists."""
    true = scores[np.arange(len(scores)), ground_truth][:, None]
    better, equal = (scores > true).sum(axis=1), (scores == true).sum(axis=1)
    return float(expected_metric(METRIC, better, equal).mean())


def padded(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Return lists of numbers as one array [B, C], NaN behind shorter ones."""
    table = np.full((len(lists), max(map(len, lists), default=0)), np.nan)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table
