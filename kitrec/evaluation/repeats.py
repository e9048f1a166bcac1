"""Several trainings of the same methods on the same test users: means, their spread, what another seed could change.

Runs differ by the seed of their trainings alone and are aligned by record: y_ru is a metric of training r and user u.
Two methods of one run share its seed, so that their differences are in pairs by training. Beside each other stand
    users alone             BCa interval of the mean over trainings, permutation test: these trainings, other users
    users and trainings     t of two sources (core/mean_tests.py): other trainings, other users
Claims about a method rest on the second (Bouthillier et al. 2021, MLSys, "Accounting for variance in machine learning
benchmarks"); Holm's correction is over the declared family. Shapes: R trainings, U users, K columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from statsmodels.stats.multitest import multipletests

from kitrec.core.errors import InputError
from kitrec.core.mean_tests import MeanTest, users_and_trainings
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.contrasts import contrasts, per_user
from kitrec.evaluation.params import Family
from kitrec.evaluation.score_matrix import ScoreMatrix, score_matrix
from kitrec.evaluation.strata import ALL

SAME_DATA = (
    "`seed` makes the data too: keep it, and give the trainings other seeds "
    "(`dvc exp run evaluate -S training_seed=1,2,3 --queue`)"
)


@dataclass(frozen=True)
class Trainings:
    """Scores of all trainings: their mean as a matrix, and `by_user` [R, U, K], whose mean is that over records."""

    mean: ScoreMatrix
    by_user: np.ndarray


def align(runs: Sequence[pl.DataFrame]) -> Trainings:
    """Return the scores of all runs; refuse other methods, test users or candidates."""
    matrices = [score_matrix(run) for run in runs]
    first = matrices[0]
    for number, matrix in enumerate(matrices[1:], start=2):
        if matrix.columns != first.columns:
            names = {column.method for column in first.columns} ^ {column.method for column in matrix.columns}
            raise InputError(
                f"run {number} has other methods than run 1 ({', '.join(sorted(names))}): nothing to repeat"
            )
        keys = ("record_id", "candidate_hash", "user_id")
        if not matrix.records.select(keys).equals(first.records.select(keys)):
            raise InputError(f"run {number} has other test users or candidates than run 1; {SAME_DATA}")
    by_user = np.stack([per_user(matrix.user_sums()) for matrix in matrices])
    mean = ScoreMatrix(first.records, first.columns, np.mean([matrix.values for matrix in matrices], axis=0))
    return Trainings(mean, by_user)


def repeat_means(t: Trainings, resampling: Resampling) -> pl.DataFrame:
    """Return of every ranking and metric the mean over trainings, their standard deviation, and both intervals."""
    columns = t.mean.columns
    means, low, high = resampling.means_and_intervals(t.mean.user_sums(), ALL, ALL)
    both = users_and_trainings(t.by_user)
    labels = {name: [getattr(column, name) for column in columns] for name in ("method", "kind", "metric")}
    sd = t.by_user.mean(axis=1).std(axis=0, ddof=1)
    return pl.DataFrame({**labels, "mean": means, "sd_trainings": sd, "low": low, "high": high} | _bounds(both))


def repeat_comparisons(t: Trainings, family: Family, *, permutations: int, resampling: Resampling) -> pl.DataFrame:
    """Return the declared comparisons, over users alone and over users and trainings."""
    pairs, weights = _pairs(t, family, family.metrics)
    alone = contrasts(
        t.mean, weights, resamples=resampling.resamples, permutations=permutations, seed=resampling.seed
    ).select("n", "difference", "low", "high", "p_permutation")
    differences = t.by_user @ weights
    both = users_and_trainings(differences)
    numbers = {
        "sd_trainings": differences.mean(axis=1).std(axis=0, ddof=1),
        **_bounds(both),
        "p_users_and_trainings": both.p,
        "p_holm": multipletests(both.p, method="holm")[1],
    }
    labels = pl.DataFrame(pairs, schema=["metric", "method", "other"], orient="row")
    return pl.concat([labels, alone, pl.DataFrame(numbers)], how="horizontal")


def pair_differences(t: Trainings, family: Family, metrics: Sequence[str]) -> np.ndarray:
    """Return the differences [R, U, K] of the declared pairs in these metrics."""
    return t.by_user @ _pairs(t, family, metrics)[1]


def _pairs(t: Trainings, family: Family, metrics: Sequence[str]) -> tuple[list[tuple[str, str, str]], np.ndarray]:
    """Return metric, method and other of each declared comparison, and the weights [K, P] that subtract the other."""
    pairs = [(metric, *pair) for pair in family.pairs for metric in metrics]
    ranked = {column.method for column in t.mean.columns if column.kind == family.kind}
    unknown = sorted({name for pair in family.pairs for name in pair} - ranked)
    if unknown or not pairs:
        raise InputError(
            f"evaluation.family.pairs: {', '.join(unknown) or 'no pair'} without a {family.kind} ranking in the runs "
            f"({', '.join(sorted(ranked))}); declare pairs of these"
        )
    first, second = ([t.mean.column_index(row[side], family.kind, row[0]) for row in pairs] for side in (1, 2))
    weights = np.zeros((len(t.mean.columns), len(pairs)))
    weights[first, np.arange(len(pairs))], weights[second, np.arange(len(pairs))] = 1, -1
    return pairs, weights


def _bounds(test: MeanTest) -> dict[str, np.ndarray]:
    return {"low_both": test.low, "high_both": test.high}
