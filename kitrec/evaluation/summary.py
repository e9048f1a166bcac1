"""Means of scores by stratum with n, as the nested dictionaries of metrics/evaluate*.json."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from kitrec.evaluation.strata import measures_by_stratum
from kitrec.schemas.scores import METRICS


def summarise(scores: pl.DataFrame) -> dict[str, Any]:
    """Return method -> kind -> n and metric means over all users."""
    return _per_ranking(scores, _means)


def summarise_strata(scores: pl.DataFrame) -> dict[str, Any]:
    """Return method -> kind -> domain, core, user_type -> member -> n and metric means."""
    return _per_ranking(scores, _strata)


def _per_ranking(scores: pl.DataFrame, table: Callable[[pl.DataFrame], dict[str, Any]]) -> dict[str, Any]:
    return {
        method: {kind: table(rows) for kind, rows in _groups(group, "kind")}
        for method, group in _groups(scores, "method")
    }


def _strata(rows: pl.DataFrame) -> dict[str, Any]:
    return measures_by_stratum(rows, lambda part, *_: _means(part))


def _means(rows: pl.DataFrame) -> dict[str, float | int]:
    means = rows.select(pl.col(METRICS).mean().round(6)).row(0, named=True)
    return {"n": rows.height, **means}


def _groups(scores: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    for name in scores[column].unique().sort().to_list():
        yield name, scores.filter(pl.col(column) == name)
