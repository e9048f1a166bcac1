"""Contrasts (weighted sums of methods) tested user by user: differences, main effects and interactions.

    c_up = sum_k v_uk w_kp;  its mean with a BCa interval, and the paired tests of paired.py against zero

RQ1 is a 2x2 within users: does fine-tuning help, does thinking help, and does one need the other?
    fine-tuning  = (tuned thinking + tuned direct - base thinking - base direct) / 2
    thinking     = (tuned thinking + base thinking - tuned direct - base direct) / 2
    interaction  = (tuned thinking - tuned direct) - (base thinking - base direct)
Shapes: U users, K columns, P contrasts."""

import numpy as np
import polars as pl

from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import UserSums, accelerations, intervals, resampled_means
from kitrec.evaluation.paired import effect_size_name, paired_tests
from kitrec.evaluation.params import Ablation
from kitrec.evaluation.score_matrix import ScoreMatrix

EFFECTS = {"fine-tuning": (0.5, 0.5, -0.5, -0.5), "thinking": (0.5, -0.5, 0.5, -0.5), "interaction": (1, -1, -1, 1)}


def per_user(users: UserSums) -> np.ndarray:
    """Return one value per user [U, K], the unit of all tests: their mean is the mean over records."""
    return users.sums * (len(users.counts) / users.counts.sum())


def contrasts(m: ScoreMatrix, weights: np.ndarray, *, resamples: int, permutations: int, seed: int) -> pl.DataFrame:
    """Return one row per column of `weights` [K, P]; an infinite t or effect (all users differ alike) is null."""
    users = m.user_sums()
    users = UserSums(users.sums @ weights, users.counts)  # contrasts come first: equal columns differ by exactly 0
    tested = paired_tests(per_user(users), permutations, generator(seed, "sign flips"))
    drawn = resampled_means(users, resamples, generator(seed, "bootstrap of contrasts"))
    difference = users.means()
    low, high = intervals(difference, drawn, accelerations(users.leave_one_out_means()))
    table = pl.DataFrame(
        {
            "n": np.full(len(difference), tested.users),
            "difference": difference,
            "low": np.minimum(low, difference),
            "high": np.maximum(high, difference),
            "t": tested.t,
            "p_permutation": tested.p_permutation,
            "p_t": tested.p_t,
            "p_wilcoxon": tested.p_wilcoxon,
            "effect": tested.effect,
            "size": [effect_size_name(effect) for effect in tested.effect],
            "power": tested.power,
            "mde": tested.mde,
        }
    )
    numbers = pl.selectors.float()
    return table.with_columns(pl.when(numbers.is_finite()).then(numbers))


def ablation(m: ScoreMatrix, p: Ablation, *, resamples: int, permutations: int, seed: int) -> pl.DataFrame:
    """Return one row per metric and effect of the 2x2."""
    effects = [(metric, effect) for metric in p.metrics for effect in EFFECTS]
    weights = np.zeros((len(m.columns), len(effects)))
    for column, (metric, effect) in enumerate(effects):
        for method, weight in zip(p.methods, EFFECTS[effect], strict=True):
            weights[m.column_index(method, p.kind, metric), column] = weight
    tested = contrasts(m, weights, resamples=resamples, permutations=permutations, seed=seed)
    labels = pl.DataFrame(effects, schema={"metric": pl.String, "contrast": pl.String}, orient="row")
    return pl.concat([labels, tested], how="horizontal")
