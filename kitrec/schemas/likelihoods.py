"""Log-likelihoods of all candidates where an answer names an item, in the record's candidate order; and of rationales,
under their own model and under the base, null where there is no rationale."""

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
