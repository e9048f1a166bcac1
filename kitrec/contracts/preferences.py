"""Pairs for preference optimisation: of one prompt the item to prefer and one to reject, with its origin."""

import polars as pl

from kitrec.tables import Table

PREFERENCES = Table(
    "preferences",
    {
        "record_id": pl.String,
        "user_id": pl.String,
        "target": pl.String,
        "chosen": pl.String,
        "rejected": pl.String,
        "rejected_origin": pl.String,
    },
    key=("record_id",),
)
