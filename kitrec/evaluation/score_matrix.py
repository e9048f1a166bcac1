"""Scores as one matrix: a row per record, a column per method, kind of ranking and metric.

All rankings must cover the same records and candidates, because methods are compared user by user."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.evaluation.bootstrap import UserSums, user_sums
from kitrec.schemas.scores import METRICS

_RECORD = ("record_id", "candidate_hash", "user_id", "target", "user_type", "user_category", "core", "gt_has_metadata")


@dataclass(frozen=True)
class Column:
    """Method, kind of ranking and metric of a column."""

    method: str
    kind: str
    metric: str


@dataclass(frozen=True)
class ScoreMatrix:
    """Scores: `records` [R] with their strata, `columns` [K], `values` [R, K]."""

    records: pl.DataFrame
    columns: tuple[Column, ...]
    values: np.ndarray

    def select(self, rows: np.ndarray) -> "ScoreMatrix":
        """Return the records where `rows` [R] is true."""
        return ScoreMatrix(self.records.filter(pl.Series(rows)), self.columns, self.values[rows])

    def user_sums(self) -> UserSums:
        """Return sums and counts by user: a user with two records is resampled with both."""
        return user_sums(self.records["user_id"].to_numpy(), self.values)

    def column_index(self, method: str, kind: str, metric: str) -> int:
        """Return the index of a column."""
        return self.columns.index(Column(method, kind, metric))


def score_matrix(scores: pl.DataFrame) -> ScoreMatrix:
    """Return the matrix of a scores table; refuse methods that scored other records or candidates."""
    first: pl.DataFrame | None = None
    columns, blocks = list[Column](), list[np.ndarray]()
    for (method, kind), group in sorted(scores.group_by("method", "kind"), key=lambda pair: pair[0]):
        rows = group.sort("record_id")
        records = rows.select(_RECORD)
        first = records if first is None else first
        if not records.select("record_id", "candidate_hash").equals(first.select("record_id", "candidate_hash")):
            raise InputError(
                f"{method} ({kind}) scores other records or candidates than {columns[0].method} does: "
                "only rankings of the same lists can be compared; infer again"
            )
        columns += [Column(str(method), str(kind), metric) for metric in METRICS]
        blocks.append(rows.select(METRICS).to_numpy())
    if first is None:
        raise InputError("there are no scores to analyse: run `dvc repro evaluate`")
    return ScoreMatrix(first, tuple(columns), np.hstack(blocks))
