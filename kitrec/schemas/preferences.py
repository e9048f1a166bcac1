"""Preference pairs: the chosen and a rejected item of a record, the latter's origin, a teacher's outputs."""

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
