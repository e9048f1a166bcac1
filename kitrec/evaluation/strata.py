"""Strata of metrics files: a measure of all records, and of those of each target domain, core and user type."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from kitrec.core.domains import CORES, core_label, ordered_types

ALL = "all"
_STRATA: dict[str, tuple[str, Callable[[pl.Series], Sequence[str]]]] = {  # name -> (column, its members in order)
    "domain": ("target", lambda targets: sorted(targets.unique())),
    "core": ("core", lambda cores: [core for core in CORES if core in set(cores)]),
    "user_type": ("user_type", ordered_types),
}
Measure = Callable[[pl.DataFrame, str, str], dict[str, Any]]  # rows, stratum, member -> numbers


def with_strata(table: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return a table of records with the users and the columns that strata are formed by."""
    cores = records["core"].map_elements(core_label, return_dtype=pl.String)
    columns = records.select("record_id", "user_id", "target", "user_type", cores.alias("core"))
    return table.join(columns, on="record_id", how="left", validate="m:1", maintain_order="left")


def measures_by_stratum(rows: pl.DataFrame, measure: Measure) -> dict[str, Any]:
    """Return stratum -> member -> its measure, for every member that has rows."""
    return {
        name: {m: measure(rows.filter(pl.col(column) == m), name, m) for m in members(rows[column])}
        for name, (column, members) in _STRATA.items()
    }


def all_and_by_stratum(rows: pl.DataFrame, measure: Measure) -> dict[str, Any]:
    """Return the measure of all rows, and beside it those of every stratum."""
    return {**measure(rows, ALL, ALL), **measures_by_stratum(rows, measure)}
