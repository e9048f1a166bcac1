"""Which form of a title's likelihood ranks candidates, chosen on development records by NDCG@10.

    sum    log p(t | h) - α log p(t)                 h: the history as text; without it p(t), the prior of the title
    mean   [log p(t | h) - α log p(t)] / |t|         |t|: tokens of the title
A likely title is a common one or one in common words: α takes away what holds without any history, as the
candidates of a set demand it. The mean keeps long titles from paying for their length."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from kitrec.titles.prior import mean_ndcg, padded

PRIOR_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class TitleLikelihoods:
    """Of each record's candidates: log p(t | h), log p(t) and |t|."""

    given: list[np.ndarray]
    alone: list[np.ndarray]
    tokens: list[np.ndarray]


@dataclass(frozen=True)
class Calibration:
    """The mean over tokens or the sum, and α."""

    per_token: bool
    prior_weight: float

    def scores(self, likelihoods: TitleLikelihoods) -> list[np.ndarray]:
        """Return the scores of each record's candidates."""
        return [
            (given - self.prior_weight * alone) / (tokens if self.per_token else 1)
            for given, alone, tokens in zip(likelihoods.given, likelihoods.alone, likelihoods.tokens, strict=True)
        ]


CALIBRATIONS = tuple(Calibration(per_token, weight) for weight, per_token in product(PRIOR_WEIGHTS, (False, True)))


def choose_calibration(likelihoods: TitleLikelihoods, ground_truth: np.ndarray) -> tuple[Calibration, float]:
    """Return the best of CALIBRATIONS on records and its NDCG@10; of equals the first, with the least prior."""
    values = {c: mean_ndcg(padded(c.scores(likelihoods)), ground_truth) for c in CALIBRATIONS}
    best = max(CALIBRATIONS, key=lambda c: values[c])
    return best, values[best]
