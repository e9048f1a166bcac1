"""Pairs for preference optimisation: of one prompt the item to prefer and one to reject, with its origin,
and what a teacher would write for each."""

import polars as pl

from kitrec.core.tables import Table

PREFERENCES = Table(
    "preferences",
    {
        "record_id": pl.String,
        "user_id": pl.String,
        "target": pl.String,
        "chosen": pl.String,
        "rejected": pl.String,
        "rejected_origin": pl.String,
        "chosen_output": pl.String,
        "rejected_output": pl.String,
    },
    key=("record_id",),
)
