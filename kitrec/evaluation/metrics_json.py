"""What metrics files tell of comparisons and effects: few numbers, nested under names that do not change."""

from typing import Any

import polars as pl


def declared(comparisons: pl.DataFrame) -> dict[str, Any]:
    """metric -> `method against other` -> the numbers of a declared comparison."""
    told = ("n", "difference", "low", "high", "p", "p_holm", "effect", "size", "mde", "stars")
    found: dict[str, Any] = {}
    for row in _rounded(comparisons.filter("declared")).iter_rows(named=True):
        pair = f"{row['method']} against {row['other']}"
        found.setdefault(row["metric"], {})[pair] = {name: row[name] for name in told}
    return found


def by_effect(effects: pl.DataFrame) -> dict[str, Any]:
    """metric -> effect -> its numbers."""
    told = ("n", "difference", "low", "high", "p", "effect")
    found: dict[str, Any] = {}
    for row in _rounded(effects).iter_rows(named=True):
        found.setdefault(row["metric"], {})[row["of"]] = {name: row[name] for name in told}
    return found


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    """Six places, but the three leading digits of p."""
    p = pl.selectors.starts_with("p_") | pl.selectors.by_name("p")
    return table.with_columns((pl.selectors.float() - p).round(6), p.round_sig_figs(3))
