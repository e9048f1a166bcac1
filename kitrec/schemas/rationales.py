"""How likely a rationale is where it stands: to the model that wrote it, and to the base; null where there is none."""

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
