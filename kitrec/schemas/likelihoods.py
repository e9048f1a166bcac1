"""How likely a model finds every candidate's name where its answer names one; in the record's order."""

import polars as pl

from kitrec.core.tables import Table

LIKELIHOODS = Table(
    "likelihoods",
    {
        "method": pl.String,
        "record_id": pl.String,
        "prompt_hash": pl.String,
        "loglik": pl.List(pl.Float64),
        "tokens": pl.List(pl.Int32),
        "error": pl.String,
    },
    key=("method", "record_id"),
    nullable=frozenset({"loglik", "tokens", "error"}),
)
