"""Strata means (a metric over the n records of a stratum, with its interval) and comparisons of two methods."""

import polars as pl

from kitrec.core.tables import Table

_ORDERED = (pl.col("low") <= pl.col("mean") + 1e-9) & (pl.col("mean") <= pl.col("high") + 1e-9)

STRATA_MEANS = Table(
    "strata_means",
    {
        "method": pl.String,
        "kind": pl.String,
        "stratum": pl.String,
        "member": pl.String,
        "metric": pl.String,
        "n": pl.Int64,
        "users": pl.Int64,
        "mean": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "few": pl.Boolean,  # fewer than evaluation.min_users: shown, and marked
    },
    key=("method", "kind", "stratum", "member", "metric"),
    rules={"an interval holds its mean": _ORDERED},
)

COMPARISONS = Table(
    "comparisons",
    {
        "kind": pl.String,
        "metric": pl.String,
        "method": pl.String,
        "other": pl.String,
        "n": pl.Int64,
        "mean": pl.Float64,
        "other_mean": pl.Float64,
        "difference": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "t": pl.Float64,
        "p_t": pl.Float64,
        "p_wilcoxon": pl.Float64,
        "p_permutation": pl.Float64,
        "normal": pl.Boolean,
        "p": pl.Float64,  # of t where differences look normal, of Wilcoxon otherwise
        "effect": pl.Float64,
        "size": pl.String,
        "power": pl.Float64,
        "mde": pl.Float64,
        "declared": pl.Boolean,  # in the family declared beforehand; only these are corrected
        "p_holm": pl.Float64,
        "p_bonferroni": pl.Float64,
        "p_bh": pl.Float64,
        "stars": pl.String,  # of p_holm
    },
    key=("kind", "metric", "method", "other"),
    nullable=frozenset({"t", "effect", "power", "mde", "p_holm", "p_bonferroni", "p_bh"}),
)
