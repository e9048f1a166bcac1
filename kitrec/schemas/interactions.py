"""Rated user-item interactions with timestamps, the input of preprocessing; and by split, the input of recommenders.

`held_out` marks the last target item of a user, which no model may see before it is asked for it."""

import polars as pl

from kitrec.core.tables import Table, rating_rule

INTERACTIONS = Table(
    "interactions",
    {"user_id": pl.String, "domain": pl.String, "item_id": pl.String, "rating": pl.Float64, "time": pl.Int64},
    key=("user_id", "item_id"),
    rules=rating_rule("rating"),
)

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
