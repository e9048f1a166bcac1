"""Who touched what, when, with how many stars: the raw material of `prep`."""

import polars as pl

from kitrec.core.tables import Table, stars

INTERACTIONS = Table(
    "interactions",
    {"user_id": pl.String, "domain": pl.String, "item_id": pl.String, "rating": pl.Float64, "time": pl.Int64},
    key=("user_id", "item_id"),
    rules=stars("rating"),
)
