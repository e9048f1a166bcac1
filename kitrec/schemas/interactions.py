"""Rated user-item interactions with timestamps: the input of preprocessing."""

import polars as pl

from kitrec.core.tables import Table, rating_rule

INTERACTIONS = Table(
    "interactions",
    {"user_id": pl.String, "domain": pl.String, "item_id": pl.String, "rating": pl.Float64, "time": pl.Int64},
    key=("user_id", "item_id"),
    rules=rating_rule("rating"),
)
