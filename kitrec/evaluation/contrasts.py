"""Weighted sums of methods, tested user by user: a difference is (1, -1), a main effect (1/2, 1/2, -1/2, -1/2).

    c_up = sum_k v_uk w_kp;  its mean with a BCa interval, and the paired tests of paired.py against zero
Shapes: U users, K columns, P contrasts."""

import numpy as np
import polars as pl

from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import accelerations, intervals, resampled_means
from kitrec.evaluation.paired import compare, size
from kitrec.evaluation.score_matrix import Matrix


def contrasts(m: Matrix, weights: np.ndarray, *, resamples: int, flips: int, seed: int) -> pl.DataFrame:
    """One row per column of `weights` [K, P]; an infinite t or effect (all users differ alike) is null."""
    users = m.users()
    own = users.sums * (len(users.counts) / users.counts.sum())  # their mean is the mean over records
    tested = compare(own @ weights, flips, generator(seed, "sign flips"))
    drawn = resampled_means(users, resamples, generator(seed, "bootstrap of contrasts"))
    difference = users.means() @ weights
    low, high = intervals(difference, drawn @ weights, accelerations(users.without_each() @ weights))
    table = pl.DataFrame(
        {
            "n": np.full(len(difference), tested.users),
            "difference": difference,
            "low": np.minimum(low, difference),
            "high": np.maximum(high, difference),
            "t": tested.t,
            "p_t": tested.p_t,
            "p_wilcoxon": tested.p_wilcoxon,
            "p_permutation": tested.p_permutation,
            "normal": tested.normal,
            "p": np.where(tested.normal, tested.p_t, tested.p_wilcoxon),
            "effect": tested.effect,
            "size": [size(effect) for effect in tested.effect],
            "power": tested.power,
            "mde": tested.mde,
        }
    )
    told = pl.selectors.float()
    return table.with_columns(pl.when(told.is_finite()).then(told))
