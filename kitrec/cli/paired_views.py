"""Two runs on the same test records: how far they are the same, and both means of every view with their difference."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.cli import runs as named
from kitrec.cli.report_views import rows_of
from kitrec.core import tables
from kitrec.evaluation.run_comparison import OtherUsersError, PairedRuns, pair_runs, run_differences
from kitrec.evaluation.score_matrix import Column, ScoreMatrix
from kitrec.report.first_screen import METRICS, View, views
from kitrec.report.run_differences import Pairing, Runs
from kitrec.schemas.records import RECORDS

Sides = tuple[ScoreMatrix, ScoreMatrix]


def pair(names: Runs, which: str, sides: Sides) -> tuple[Pairing, PairedRuns | None]:
    """Return how far the records are the same, and the runs on the shared ones if their differences can be tested."""
    sizes = (len(sides[0].values), len(sides[1].values))
    try:
        paired = pair_runs(*sides, METRICS)
    except OtherUsersError as problem:
        names_alike = f"{problem.others} of {problem.shared} test users with the same name in both runs"
        others = f"{names_alike} are not the same users, so the data differ"
        reason = others if problem.shared else "the runs have no test user in common"
        return Pairing(sizes, refusal=reason), None
    shared = paired.first.records
    other = int((shared["candidate_hash"] != paired.second.records["candidate_hash"]).sum())
    users = shared["user_id"].n_unique()
    if not other:
        return Pairing(sizes, shared.height, users), paired
    both = _lists(names[0], which).join(_lists(names[1], which), on=["user_id", "target"], suffix="_second")
    both = both.join(shared, on=["user_id", "target"], how="semi")
    lengths = both.filter(pl.col("length") != pl.col("length_second"))
    if lengths.height:
        reason = f"{_length(both['length'])} candidates against {_length(both['length_second'])}"
        refusal = f"{reason}, and a rank among more candidates is another rank"
        return Pairing(sizes, shared.height, users, other, refusal=refusal), None
    held_out = both.filter(pl.col("gt_item_id") != pl.col("gt_item_id_second")).height
    return Pairing(sizes, shared.height, users, other, held_out), paired


def _lists(name: str, which: str) -> pl.DataFrame:
    """Return the length of each record's list of candidates, and its held-out item."""
    records = tables.read(named.file_of(name, Path(f"data/records/set{which}/test.parquet")), RECORDS)
    return records.select("user_id", "target", "gt_item_id", length=pl.col("candidate_ids").list.len())


def _length(lengths: pl.Series) -> str:
    """Return "20", or "10 to 20"."""
    ends = sorted(set(lengths))
    return f"{ends[0]} to {ends[-1]}" if len(ends) > 1 else str(ends[0])


def tested_views(which: str, paired: PairedRuns, drawn: Mapping[str, int]) -> dict[View, pl.DataFrame]:
    """Return the differences in every view that has records."""
    records, tested = paired.first.records, {}
    for view in views([which], sorted(records["target"].unique())):
        rows = rows_of(view, records)
        if rows.any():
            counts = {name: pl.lit(int(rows.sum())) for name in ("records_first", "records_second")}
            tested[view] = run_differences(paired.select(rows), **drawn).with_columns(**counts)
    return tested


def untested_views(which: str, sides: Sides) -> dict[View, pl.DataFrame]:
    """Return the means of both runs in every view that has records of both."""
    targets = sorted({target for side in sides for target in side.records["target"]})
    shown = {}
    for view in views([which], targets):
        parts = [side.select(rows_of(view, side.records)) for side in sides]
        if all(len(part.values) for part in parts):
            shown[view] = _means_of_both(*parts)
    return shown


def _means_of_both(first: ScoreMatrix, second: ScoreMatrix) -> pl.DataFrame:
    columns = [column for column in first.columns if column in second.columns and column.metric in METRICS]
    both = {name: means(m, columns) for name, m in (("first", first), ("second", second))}
    labels = {name: [getattr(column, name) for column in columns] for name in ("method", "kind", "metric")}
    untested = pl.lit(None, dtype=pl.Float64)
    return pl.DataFrame({**labels, **both}).with_columns(
        records_first=pl.lit(len(first.values)), records_second=pl.lit(len(second.values)), n=pl.lit(None, pl.Int64),
        difference=untested, low=untested, high=untested, p_permutation=untested, equal=pl.lit(False),
    )  # fmt: skip


def means(m: ScoreMatrix, columns: Sequence[Column]) -> np.ndarray:
    return np.asarray(m.values[:, [m.columns.index(column) for column in columns]].mean(axis=0))
