"""Log-likelihoods of all candidates at the position where an answer names an item, in the record's candidate order."""

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
