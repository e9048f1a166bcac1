"""Comparison of two settings on the same users: two experiments, or both candidate sets. Candidate lists may differ.

Within a run methods are compared on equal lists only (comparisons.py). Here the lists may differ, as those of sets A
and B do, so a difference is one of run and lists together. A setting with several trainings (runs that differ by their
seed, on the same lists) counts with the mean over them; where both have some, the test over users and trainings stands
beside the one over users alone, each setting with trainings of its own (core/mean_tests.py).

`compare_runs` takes scores tables, ranking by ranking; `pair_runs` and `run_differences` take the matrices of two runs
and test all their shared rankings at once, in any selection of the records, with the same numbers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

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


class OtherUsersError(InputError):
    """Of `shared` users of the same names `others` are not the same users, or there are none of the same names."""

    def __init__(self, name: str, others: int, shared: int) -> None:
        super().__init__(
            f"{name}: {others} of {shared} users of the same name are not the same users; "
            "all runs must come from the same data, world and seed"
        )
        self.others, self.shared = others, shared


@dataclass(frozen=True)
class PairedRuns:
    """The rankings that two runs share, on the test records of the users that both have: equal rows and columns."""

    first: ScoreMatrix
    second: ScoreMatrix

    def select(self, rows: np.ndarray) -> "PairedRuns":
        """Return the records where `rows` [R] is true."""
        return PairedRuns(self.first.select(rows), self.second.select(rows))


def pair_runs(first: ScoreMatrix, second: ScoreMatrix, metrics: Collection[str] = METRICS) -> PairedRuns:
    """Return two runs, in these metrics, on the users that both have; refuse users that are others."""
    shared = _join([m.records.with_row_index("row") for m in (first, second)], "the two runs")
    columns = tuple(each for each in first.columns if each in second.columns and each.metric in metrics)
    sides = []
    for m, name in ((first, "row"), (second, "row_1")):
        rows, kept = shared[name].to_numpy(), [m.columns.index(column) for column in columns]
        sides.append(ScoreMatrix(m.records[rows], columns, m.values[rows][:, kept]))
    return PairedRuns(*sides)


def run_differences(pair: PairedRuns, *, resamples: int, permutations: int, seed: int) -> pl.DataFrame:
    """Return second minus first, a row for each column; `equal` where no record has another score."""
    first, second = pair.first, pair.second
    drawn = {"resamples": resamples, "permutations": permutations, "seed": seed}
    labels = {name: [getattr(column, name) for column in first.columns] for name in ("method", "kind", "metric")}
    equal = pl.Series("equal", ((second.values - first.values).round(12) == 0).all(axis=0))
    tested = _second_minus_first(first.records, first.columns, (first.values, second.values), drawn)
    return pl.concat([pl.DataFrame(labels), tested.with_columns(equal)], how="horizontal")


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
    columns = tuple(Column(method, kind, metric) for metric in METRICS)
    first, second = (side.mean(axis=0) for side in sides)
    tested = _second_minus_first(shared.select("record_id", *_USER), columns, (first, second), drawn)
    left_out = sum(table.height for table in tables) - len(tables) * shared.height
    labels = {"method": method, "kind": kind, "metric": METRICS, "records": shared.height, "left_out": left_out}
    return pl.concat([pl.DataFrame(labels), tested, _both(shared, sides)], how="horizontal")


def _second_minus_first(
    records: pl.DataFrame, columns: tuple[Column, ...], sides: tuple[np.ndarray, np.ndarray], drawn: dict[str, int]
) -> pl.DataFrame:
    """Return both means over the records and the tests of their difference, a row for each column [R, K] of a side."""
    m = ScoreMatrix(records, columns * 2, np.hstack(sides))
    weights = np.vstack([-np.eye(len(columns)), np.eye(len(columns))])
    means = pl.DataFrame({name: side.mean(axis=0) for name, side in zip(("first", "second"), sides, strict=True)})
    return pl.concat([means, contrasts(m, weights, **drawn)], how="horizontal")


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
        raise OtherUsersError(name, mismatched.height, shared.height)
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
