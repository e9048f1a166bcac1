"""Records: a held-out target interaction, what was known before it (oldest first), the candidates in shown order."""

import polars as pl

from kitrec.tables import Table

RECORDS = Table(
    "records",
    {
        "record_id": pl.String,
        "user_id": pl.String,
        "target": pl.String,
        "candidate_set": pl.String,
        "user_type": pl.String,
        "user_category": pl.String,
        "core": pl.Int32,
        "source_items": pl.List(pl.String),
        "source_ratings": pl.List(pl.Float64),
        "target_items": pl.List(pl.String),
        "target_ratings": pl.List(pl.Float64),
        "candidate_ids": pl.List(pl.String),
        "candidate_origins": pl.List(pl.String),
        "gt_item_id": pl.String,
        "gt_rating": pl.Float64,
        "gt_time": pl.Int64,
        "gt_has_metadata": pl.Boolean,
        "output": pl.String,
        "candidate_hash": pl.String,
    },
    key=("record_id",),
    nullable=frozenset({"output", "gt_rating", "gt_time"}),  # finished prompts do not tell when
)
