"""Means of all methods and metrics in all strata, each with its BCa interval by resampled users."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product

import polars as pl

from kitrec.core.domains import CATEGORIES, CORES, ordered_types
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.score_matrix import ScoreMatrix
from kitrec.evaluation.strata import ALL
from kitrec.schemas.strata_means import STRATA_MEANS

DOMAIN_CORE = "domain_core"


def strata_means(m: ScoreMatrix, *, resamples: int, min_users: int, seed: int) -> pl.DataFrame:
    """Return means over all users, over each non-empty member of each stratum, and over each core of each domain."""
    parts = [_means(part, stratum, member, resamples, min_users, seed) for stratum, member, part in _strata(m)]
    return pl.concat(parts).cast(pl.Schema(STRATA_MEANS.columns))


def overall_means(m: ScoreMatrix, *, resamples: int, min_users: int, seed: int) -> pl.DataFrame:
    """Return only the rows of `strata_means` over all users."""
    return _means(m, ALL, ALL, resamples, min_users, seed).cast(pl.Schema(STRATA_MEANS.columns))


def means_by_set(sets: Mapping[str, pl.DataFrame], metrics: Collection[str]) -> pl.DataFrame:
    """Return metrics over all users on every test set (name -> its means) with their intervals, for the plot."""
    parts = [
        table.filter((pl.col("stratum") == ALL) & pl.col("metric").is_in(metrics)).select(
            pl.lit(name).alias("set"), "method", "kind", "metric", "n", pl.col("mean", "low", "high").round(6)
        )
        for name, table in sorted(sets.items())
    ]
    return pl.concat(parts)


def means_by_core(table: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return a metric by target domain and core with its interval, for the plot."""
    rows = table.filter((pl.col("stratum") == DOMAIN_CORE) & (pl.col("metric") == metric))
    parts = pl.col("member").str.split(" ").list
    return rows.select(
        "method", "kind", parts.get(0).alias("target"), parts.get(1).alias("core"), "n",
        pl.col("mean").round(6).alias(metric), pl.col("low").round(6), pl.col("high").round(6),
    )  # fmt: skip


def _strata(m: ScoreMatrix) -> Iterator[tuple[str, str, ScoreMatrix]]:
    """Yield stratum, member and its records."""
    yield ALL, ALL, m
    targets = sorted(m.records["target"].unique())
    strata: dict[str, tuple[str, Sequence[str | bool]]] = {  # name -> (column of the records, its members in order)
        "user_type": ("user_type", ordered_types(m.records["user_type"])),
        "user_category": ("user_category", CATEGORIES),
        "domain": ("target", targets),
        "core": ("core", CORES),
        "truth_metadata": ("gt_has_metadata", (True, False)),
    }
    for stratum, (column, members) in strata.items():
        values = m.records[column]
        for member in members:
            rows = (values == member).to_numpy()
            if rows.any():
                yield stratum, str(member).lower() if isinstance(member, bool) else member, m.select(rows)
    for target, core in product(targets, CORES):
        rows = ((m.records["target"] == target) & (m.records["core"] == core)).to_numpy()
        if rows.any():
            yield DOMAIN_CORE, f"{target} {core}", m.select(rows)


def _means(m: ScoreMatrix, stratum: str, member: str, resamples: int, min_users: int, seed: int) -> pl.DataFrame:
    users = m.user_sums()
    means, low, high = Resampling(resamples, seed).means_and_intervals(users, stratum, member)
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
            "low": low,
            "high": high,
            "few": len(users.counts) < min_users,
        }
    )
