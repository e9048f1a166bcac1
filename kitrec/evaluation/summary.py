"""Means of scores by stratum with n, as the nested dictionaries of metrics/evaluate*.json."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from kitrec.core.domains import CORES, TARGETS, USER_TYPES
from kitrec.schemas.scores import METRICS

STRATA = {"domain": TARGETS, "core": CORES, "user_type": tuple(USER_TYPES)}
_COLUMN = {"domain": "target", "core": "core", "user_type": "user_type"}


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
    means: dict[str, Any] = {}
    for name, members in STRATA.items():
        column = pl.col(_COLUMN[name])
        means[name] = {m: _means(part) for m in members if (part := rows.filter(column == m)).height}
    return means


def _means(rows: pl.DataFrame) -> dict[str, float | int]:
    means = rows.select(pl.col(METRICS).mean().round(6)).row(0, named=True)
    return {"n": rows.height, **means}


def _groups(scores: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    for name in scores[column].unique().sort().to_list():
        yield name, scores.filter(pl.col(column) == name)
