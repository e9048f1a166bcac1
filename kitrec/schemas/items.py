"""Items of all domains with the metadata that prompts show: one row per item."""

import polars as pl

from kitrec.core.tables import Table, rating_rule

ITEMS = Table(
    "items",
    {
        "domain": pl.String,
        "item_id": pl.String,
        "title": pl.String,
        "categories": pl.List(pl.String),
        "description": pl.String,
        "average_rating": pl.Float64,
        "year": pl.Int32,
        "has_metadata": pl.Boolean,
    },
    key=("item_id",),
    nullable=frozenset({"title", "description", "year", "average_rating"}),
    rules=rating_rule("average_rating"),
)
