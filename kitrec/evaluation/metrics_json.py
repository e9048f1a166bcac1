"""Comparisons and effects as nested dictionaries for metrics files: few numbers under stable names."""

from typing import Any

import polars as pl


def comparisons_to_dict(comparisons: pl.DataFrame) -> dict[str, Any]:
    """Return metric -> `method against other` -> the numbers of a declared comparison, one training of each."""
    keys = ("n", "difference", "low", "high", "p_permutation", "p_holm", "effect", "size", "mde", "stars")
    by_metric: dict[str, Any] = {}
    for row in _rounded(comparisons.filter("declared")).iter_rows(named=True):
        pair = f"{row['method']} against {row['other']}"
        by_metric.setdefault(row["metric"], {})[pair] = {"trainings": 1, **{name: row[name] for name in keys}}
    return by_metric


def effects_to_dict(effects: pl.DataFrame) -> dict[str, Any]:
    """Return metric -> effect -> its numbers."""
    keys = ("n", "difference", "low", "high", "p_permutation", "effect")
    by_metric: dict[str, Any] = {}
    for row in _rounded(effects).iter_rows(named=True):
        by_metric.setdefault(row["metric"], {})[row["contrast"]] = {name: row[name] for name in keys}
    return by_metric


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    """Round to six decimals, p-values to three significant digits."""
    p = pl.selectors.starts_with("p_")
    return table.with_columns((pl.selectors.float() - p).round(6), p.round_sig_figs(3))
