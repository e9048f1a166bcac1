"""Self-agreement of a judge: Cohen's kappa of repeated verdicts with quadratic weights (by statsmodels).

    kappa = 1 - sum_ij w_ij o_ij / sum_ij w_ij e_ij     w_ij = (i - j)^2
    o_ij: how often one repeat gives i and the other j;  e_ij: the same if they were independent
More than two repeats: the mean over all pairs (Light 1971, Psychological Bulletin 76(5)). If both repeats give the same
rating to everything, kappa is undefined: null with the reason, not 1."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from statsmodels.stats.inter_rater import cohens_kappa


def agreement(ratings: np.ndarray, levels: Sequence[int]) -> dict[str, Any]:
    """Return kappa of ratings [subjects, repeats], NaN without a verdict; only subjects with all repeats count."""
    complete = ratings[~np.isnan(ratings).any(axis=1)]
    result: dict[str, Any] = {"kappa": None, "n": len(complete)}
    if ratings.shape[1] < 2:
        return result | {"reason": "judged once"}
    if not len(complete):
        return result | {"reason": "nothing was judged in all repeats"}
    pairs = [complete[:, list(pair)] for pair in combinations(range(complete.shape[1]), 2)]
    constant = next((pair for pair in pairs if len(np.unique(pair)) == 1), None)
    if constant is not None:
        return result | {"reason": f"two repeats rate everything {constant[0, 0]:g}"}
    return result | {"kappa": round(float(np.mean([_kappa(pair, levels) for pair in pairs])), 4)}


def _kappa(pair: np.ndarray, levels: Sequence[int]) -> float:
    """Return kappa of two repeats [subjects, 2]."""
    edges = [*levels, levels[-1] + 1]
    table, _, _ = np.histogram2d(pair[:, 0], pair[:, 1], bins=(edges, edges))
    return float(cohens_kappa(table, wt="quadratic", return_results=False))
