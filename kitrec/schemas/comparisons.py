"""Comparisons of two methods on the records both have ranked: difference, interval, tests, effect size, power."""

import polars as pl

from kitrec.core.tables import Table

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
        "p_permutation": pl.Float64,  # the p of the difference of means: random sign flips by user
        "p_t": pl.Float64,
        "p_wilcoxon": pl.Float64,  # asks for signed ranks, not for the mean: no claim rests on it
        "effect": pl.Float64,
        "size": pl.String,
        "power": pl.Float64,
        "mde": pl.Float64,
        "declared": pl.Boolean,  # member of the pre-declared family; only those are corrected
        "p_holm": pl.Float64,  # this one and the next two: p_permutation, corrected
        "p_bonferroni": pl.Float64,
        "p_bh": pl.Float64,
        "stars": pl.String,  # significance stars of p_holm
    },
    key=("kind", "metric", "method", "other"),
    nullable=frozenset({"t", "effect", "power", "mde", "p_holm", "p_bonferroni", "p_bh"}),
)
