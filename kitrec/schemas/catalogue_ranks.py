"""Ranks of held-out items among all items of their domain that the user has not had, beside the rankings of candidates.

`better` items are scored above the held-out one, `equal` as high as it, itself included; `items` are ranked in all."""

import polars as pl

from kitrec.core.tables import Table

CATALOGUE_FILE = "catalogue.parquet"  # in the folder of a method's rankings

CATALOGUE_RANKS = Table(
    "catalogue_ranks",
    {
        "method": pl.String,
        "user_id": pl.String,
        "target": pl.String,
        "gt_item_id": pl.String,
        "better": pl.Int64,
        "equal": pl.Int64,
        "items": pl.Int64,
    },
    key=("method", "user_id", "target"),
    rules={
        "the held-out item equals itself": pl.col("equal") > 0,
        "no rank is below the last": pl.col("better") + pl.col("equal") <= pl.col("items"),
    },
)
