"""Log-likelihoods of rationales under their own model and under the base; null where there is no rationale."""

import polars as pl

from kitrec.core.tables import Table

RATIONALES = Table(
    "rationales",
    {
        "method": pl.String,
        "record_id": pl.String,
        "tokens": pl.Int32,
        "loglik_writer": pl.Float64,
        "loglik_base": pl.Float64,
    },
    key=("method", "record_id"),
    nullable=frozenset({"tokens", "loglik_writer", "loglik_base"}),
)
