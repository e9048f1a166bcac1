"""Comparison of two settings on the same users: two experiments, or both candidate sets. Candidate lists may differ.

Within a run methods are compared on equal lists only (comparisons.py). Here the lists may differ, as those of sets A
and B do, so a difference is one of run and lists together. A setting with several trainings (runs that differ by their
seed, on the same lists) counts with the mean over them; where both have some, the test over users and trainings stands
beside the one over users alone, each setting with trainings of its own (core/mean_tests.py)."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.mean_tests import users_and_trainings
from kitrec.evaluation.bootstrap import user_sums
from kitrec.evaluation.contrasts import contrasts, per_user
from kitrec.evaluation.repeats import align
from kitrec.evaluation.score_matrix import Column, ScoreMatrix
from kitrec.schemas.scores import METRICS

_USER = ("user_id", "target")
_INVARIANT = ("user_type", "core", "gt_has_metadata")  # properties that do not depend on the candidate list
Scores = Sequence[pl.DataFrame]  # of each training


def compare_runs(first: Scores, second: Scores, *, resamples: int, permutations: int, seed: int) -> pl.DataFrame:
    """Return second minus first, user by user, for each method, kind and metric that all scores tables have; refuse
    trainings of one setting on other users or candidates."""
    for trainings in (side for side in (first, second) if len(side) > 1):
        align(trainings)
    ranked = [table.select("method", "kind").unique() for table in (*first, *second)]
    shared = ranked[0]
    for other in ranked[1:]:
        shared = shared.join(other, on=["method", "kind"])
    if shared.is_empty():
        raise InputError("the two runs have no method in common: nothing to compare")
    drawn = {"resamples": resamples, "permutations": permutations, "seed": seed}
    parts = []
    for method, kind in shared.sort("method", "kind").iter_rows():
        tables = [table.filter(method=method, kind=kind) for table in (*first, *second)]
        parts.append(_compare_method(method, kind, tables, len(first), drawn))
    return pl.concat(parts)


def _compare_method(
    method: str, kind: str, tables: list[pl.DataFrame], trainings: int, drawn: dict[str, int]
) -> pl.DataFrame:
    """Compare the first `trainings` tables with the others."""
    shared = _join(tables, f"{method} ({kind})")
    values = np.stack([shared.select(_names(METRICS, number)).to_numpy() for number in range(len(tables))])
    sides = values[:trainings], values[trainings:]
    columns = tuple(Column(method, kind, f"{metric}{side}") for side in ("", "_second") for metric in METRICS)
    m = ScoreMatrix(shared.select("record_id", *_USER), columns, np.hstack([side.mean(axis=0) for side in sides]))
    weights = np.vstack([-np.eye(len(METRICS)), np.eye(len(METRICS))])
    means = m.values.mean(axis=0)
    labels = {
        "method": method,
        "kind": kind,
        "metric": METRICS,
        "records": shared.height,
        "left_out": sum(table.height for table in tables) - len(tables) * shared.height,
        "first": means[: len(METRICS)],
        "second": means[len(METRICS) :],
    }
    return pl.concat([pl.DataFrame(labels), contrasts(m, weights, **drawn), _both(shared, sides)], how="horizontal")


def _join(tables: list[pl.DataFrame], name: str) -> pl.DataFrame:
    """Return the users that all tables have, with the columns of each; refuse users that are others."""
    shared = tables[0]
    for number, table in enumerate(tables[1:], start=1):
        shared = shared.join(table, on=_USER, suffix=f"_{number}", validate="1:1")
    pairs = [
        (column, other)
        for n in range(1, len(tables))
        for column, other in zip(_INVARIANT, _names(_INVARIANT, n), strict=True)
    ]
    mismatched = shared.filter(pl.any_horizontal(pl.col(column) != pl.col(other) for column, other in pairs))
    if shared.is_empty() or mismatched.height:
        raise InputError(
            f"{name}: {mismatched.height} of {shared.height} users of the same name are not the same users; "
            "all runs must come from the same data, world and seed"
        )
    return shared.sort(_USER)


def _names(columns: Sequence[str], number: int) -> list[str]:
    """Return the names of columns of a joined table."""
    return [f"{column}_{number}" if number else column for column in columns]


def _both(shared: pl.DataFrame, sides: tuple[np.ndarray, np.ndarray]) -> pl.DataFrame:
    """Return p and interval over users and trainings; null where a side has one training."""
    names = ("p_users_and_trainings", "low_both", "high_both")
    if min(map(len, sides)) < 2:
        return pl.DataFrame({name: [None] * len(METRICS) for name in names}, schema=dict.fromkeys(names, pl.Float64))
    owners = shared["user_id"].to_numpy()
    first, second = (np.stack([per_user(user_sums(owners, values)) for values in side]) for side in sides)
    test = users_and_trainings(second, first)
    return pl.DataFrame(dict(zip(names, (test.p, test.low, test.high), strict=True)))
