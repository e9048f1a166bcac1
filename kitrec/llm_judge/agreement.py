"""Does a judge agree with itself? Cohen's kappa of repeated judging with quadratic weights (by statsmodels).

    kappa = 1 - sum_ij w_ij o_ij / sum_ij w_ij e_ij     w_ij = (i - j)^2
    o_ij: how often the one repeat gives i and the other j;  e_ij: the same, were the two independent
Of more than two repeats the mean over all pairs of them (Light 1971, Psychological Bulletin 76(5)). Where both repeats
give one and the same rating to everything there is nothing to agree about: null with the reason, no kappa of 1."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from statsmodels.stats.inter_rater import cohens_kappa


def agreement(ratings: np.ndarray, levels: Sequence[int]) -> dict[str, Any]:
    """Kappa of ratings [subjects, repeats], NaN where there is no verdict; only subjects with all repeats count."""
    whole = ratings[~np.isnan(ratings).any(axis=1)]
    found: dict[str, Any] = {"kappa": None, "n": len(whole)}
    if ratings.shape[1] < 2:
        return found | {"reason": "judged once"}
    if not len(whole):
        return found | {"reason": "nothing was judged in all repeats"}
    pairs = [whole[:, list(pair)] for pair in combinations(range(whole.shape[1]), 2)]
    constant = next((pair for pair in pairs if len(np.unique(pair)) == 1), None)
    if constant is not None:
        return found | {"reason": f"two repeats rate everything {constant[0, 0]:g}"}
    return found | {"kappa": round(float(np.mean([_kappa(pair, levels) for pair in pairs])), 4)}


def _kappa(pair: np.ndarray, levels: Sequence[int]) -> float:
    """Of two repeats [subjects, 2]."""
    edges = [*levels, levels[-1] + 1]
    table, _, _ = np.histogram2d(pair[:, 0], pair[:, 1], bins=(edges, edges))
    return float(cohens_kappa(table, wt="quadratic", return_results=False))
