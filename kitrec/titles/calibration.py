"""What is known of each candidate becomes one score; the form is chosen on development records by NDCG@10.

    score = (a - w b) / m + v log q_i       m = n for the mean over a title's tokens, 1 for the sum
    vectors   a = s(u, i)        b = 0              n = 1
    titles    a = log p(t | h)   b = log p(t)       n = |t|, the tokens of the title
q_i is the share of item i in training: vectors learn log p(i | u) - log p(i), so v = 1 is right where candidates are
drawn at random, and v = 0 where all are equally popular. p(t) is the title's likelihood without the history: a likely
title is a common one or one in common words, and w takes away what holds for anybody. Both depend on how
candidates were drawn, so each candidate set has its own. The mean keeps long titles from paying for their length."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from kitrec.core.ranking_metrics import expected_metric
from kitrec.core.tables import Table

METRIC = "ndcg@10"
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
CALIBRATION = ("per_token", "alone_weight", "share_weight")
_PARTS = ("scores", "alone", "lengths", "log_shares")
EVIDENCE = Table("evidence", {"record_id": pl.String, **dict.fromkeys(_PARTS, pl.List(pl.Float64))}, key=("record_id",))


@dataclass(frozen=True)
class Evidence:
    """Of each record's candidates: a, b, n and log q."""

    scores: list[np.ndarray]
    alone: list[np.ndarray]
    lengths: list[np.ndarray]
    log_shares: list[np.ndarray]

    def table(self, record_ids: pl.Series) -> pl.DataFrame:
        """Return the evidence of records as a table."""
        parts = (pl.Series(name, _lists(getattr(self, name)), dtype=pl.List(pl.Float64)) for name in _PARTS)
        return pl.DataFrame([record_ids.alias("record_id"), *parts])


@dataclass(frozen=True)
class Calibration:
    """The mean over tokens or the sum, w and v."""

    per_token: bool
    alone_weight: float
    share_weight: float

    def metrics(self) -> dict[str, float]:
        """Return them as numbers."""
        return {name: float(getattr(self, name)) for name in CALIBRATION}

    def scores(self, evidence: Evidence) -> list[np.ndarray]:
        """Return the scores of each record's candidates."""
        return [
            (a - self.alone_weight * b) / (n if self.per_token else 1) + self.share_weight * q
            for a, b, n, q in zip(*(getattr(evidence, name) for name in _PARTS), strict=True)
        ]


CALIBRATIONS = tuple(
    Calibration(per_token, alone, share) for share, alone, per_token in product(WEIGHTS, WEIGHTS, (False, True))
)


def from_table(table: pl.DataFrame) -> Evidence:
    """Return the evidence that a table holds."""
    return Evidence(*([np.array(values) for values in table[name].to_list()] for name in _PARTS))


def log_shares(candidates: Sequence[np.ndarray], shares: np.ndarray) -> list[np.ndarray]:
    """Return log q of candidates, which are item numbers; `shares` are q [N + 1]."""
    return [np.log(shares[numbers]) for numbers in candidates]


def of_vectors(scores: list[np.ndarray], candidates: Sequence[np.ndarray], shares: np.ndarray) -> Evidence:
    """Return the evidence of vectors' scores."""
    zeros, ones = [np.zeros(len(c)) for c in candidates], [np.ones(len(c)) for c in candidates]
    return Evidence(scores, zeros, ones, log_shares(candidates, shares))


def calibrate(evidence: Evidence, ground_truth: np.ndarray) -> tuple[Calibration, float]:
    """Return the best of CALIBRATIONS on records and its NDCG@10; of equals the first, with the least weights."""
    values = {c: mean_ndcg(padded(c.scores(evidence)), ground_truth) for c in CALIBRATIONS}
    best = max(CALIBRATIONS, key=lambda c: values[c])
    return best, values[best]


def calibration_row(evidence: Evidence, ground_truth: np.ndarray) -> dict[str, float]:
    """Return NDCG@10 of development records at the best calibration, and that calibration."""
    calibration, ndcg = calibrate(evidence, ground_truth)
    return {METRIC: ndcg, **calibration.metrics()}


def mean_ndcg(scores: np.ndarray, ground_truth: np.ndarray) -> float:
    """Return the mean NDCG@10 of scores [B, C] with NaN behind shorter lists; `ground_truth` is the true column."""
    true = scores[np.arange(len(scores)), ground_truth][:, None]
    better, equal = (scores > true).sum(axis=1), (scores == true).sum(axis=1)
    return float(expected_metric(METRIC, better, equal).mean())


def padded(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Return lists of numbers as one array [B, C], NaN behind shorter ones."""
    table = np.full((len(lists), max(map(len, lists), default=0)), np.nan)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table


def _lists(arrays: Sequence[np.ndarray]) -> list[list[float]]:
    return [array.astype(np.float64).tolist() for array in arrays]
