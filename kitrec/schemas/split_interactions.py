"""Interactions of one split for ID models: the histories that the records show, and their `held_out` items."""

import polars as pl

from kitrec.core.tables import Table, rating_rule

SPLIT_INTERACTIONS = Table(
    "split_interactions",
    {
        "user_id": pl.String,
        "domain": pl.String,
        "item_id": pl.String,
        "rating": pl.Float64,
        "time": pl.Int64,
        "held_out": pl.Boolean,
    },
    key=("user_id", "item_id"),
    nullable=frozenset({"rating"}),  # missing in some prompts
    rules=rating_rule("rating"),
)
