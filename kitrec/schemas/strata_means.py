"""Mean of a metric over the n records of a stratum, with its confidence interval."""

import polars as pl

from kitrec.core.tables import Table

_INTERVAL_HOLDS_MEAN = (pl.col("low") <= pl.col("mean") + 1e-9) & (pl.col("mean") <= pl.col("high") + 1e-9)

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
        "few": pl.Boolean,  # below evaluation's minimum number of users: shown, and marked
    },
    key=("method", "kind", "stratum", "member", "metric"),
    rules={"an interval holds its mean": _INTERVAL_HOLDS_MEAN},
)
