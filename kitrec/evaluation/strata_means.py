"""Means of all methods and metrics in all strata, each with its BCa interval by resampled users."""

from collections.abc import Collection, Iterator, Mapping
from itertools import product

import numpy as np
import polars as pl

from kitrec.core.domains import CORES, TARGETS, USER_TYPES
from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import accelerations, intervals, resampled_means
from kitrec.evaluation.score_matrix import Matrix
from kitrec.schemas.strata_means import STRATA_MEANS

_CATEGORIES = tuple(dict.fromkeys(kind.category for kind in USER_TYPES.values()))
STRATA = {  # name -> (column of the records, its members in order)
    "user_type": ("user_type", tuple(USER_TYPES)),
    "user_category": ("user_category", _CATEGORIES),
    "domain": ("target", TARGETS),
    "core": ("core", CORES),
    "truth_metadata": ("gt_has_metadata", (True, False)),
}
ALL, DOMAIN_CORE = "all", "domain_core"


def cells(m: Matrix, *, resamples: int, fewest: int, seed: int) -> pl.DataFrame:
    """The cells table: everybody, then each member of each stratum that has users, and each core of each domain."""
    parts = [_cell(part, stratum, member, resamples, fewest, seed) for stratum, member, part in _parts(m)]
    return pl.concat(parts).cast(pl.Schema(STRATA_MEANS.columns))


def everybody(m: Matrix, *, resamples: int, fewest: int, seed: int) -> pl.DataFrame:
    """Of the cells table only the cells of all users."""
    return _cell(m, ALL, ALL, resamples, fewest, seed).cast(pl.Schema(STRATA_MEANS.columns))


def by_set(sets: Mapping[str, pl.DataFrame], metrics: Collection[str]) -> pl.DataFrame:
    """Metrics over all users on every test set (its name -> its cells) with their intervals, for the plot."""
    parts = [
        table.filter((pl.col("stratum") == ALL) & pl.col("metric").is_in(metrics)).select(
            pl.lit(name).alias("set"), "method", "kind", "metric", "n", pl.col("mean", "low", "high").round(6)
        )
        for name, table in sorted(sets.items())
    ]
    return pl.concat(parts)


def by_core(table: pl.DataFrame, metric: str) -> pl.DataFrame:
    """A metric by target domain and core with its interval, for the plot."""
    own = table.filter((pl.col("stratum") == DOMAIN_CORE) & (pl.col("metric") == metric))
    place = pl.col("member").str.split(" ").list
    return own.select(
        "method", "kind", place.get(0).alias("target"), place.get(1).alias("core"), "n",
        pl.col("mean").round(6).alias(metric), pl.col("low").round(6), pl.col("high").round(6),
    )  # fmt: skip


def _parts(m: Matrix) -> Iterator[tuple[str, str, Matrix]]:
    yield ALL, ALL, m
    for stratum, (column, members) in STRATA.items():
        values = m.records[column]
        for member in members:
            rows = (values == member).to_numpy()
            if rows.any():
                yield stratum, str(member).lower() if isinstance(member, bool) else member, m.of(rows)
    for target, core in product(TARGETS, CORES):
        rows = ((m.records["target"] == target) & (m.records["core"] == core)).to_numpy()
        if rows.any():
            yield DOMAIN_CORE, f"{target} {core}", m.of(rows)


def _cell(m: Matrix, stratum: str, member: str, resamples: int, fewest: int, seed: int) -> pl.DataFrame:
    users = m.users()
    means = users.means()
    drawn = resampled_means(users, resamples, generator(seed, "bootstrap", stratum, member))
    low, high = intervals(means, drawn, accelerations(users.without_each()))
    return pl.DataFrame(
        {
            "method": [c.method for c in m.columns],
            "kind": [c.kind for c in m.columns],
            "stratum": stratum,
            "member": member,
            "metric": [c.metric for c in m.columns],
            "n": len(m.values),
            "users": len(users.counts),
            "mean": means,
            "low": np.minimum(low, means),
            "high": np.maximum(high, means),
            "few": len(users.counts) < fewest,
        }
    )
