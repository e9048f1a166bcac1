"""Raw answers of a method to records, not yet parsed."""

import polars as pl

from kitrec.core.tables import Table

ANSWERS = Table(
    "answers",
    {
        "method": pl.String,
        "record_id": pl.String,
        "notes": pl.List(pl.String),
        "prompt_hash": pl.String,
        "adapter": pl.String,
        "text": pl.String,
        "prompt_tokens": pl.Int32,
        "source_items": pl.Int32,
        "target_items": pl.Int32,
        "shortened": pl.List(pl.String),
        "answer_tokens": pl.Int32,
        "finish_reason": pl.String,
        "error": pl.String,
    },
    key=("method", "record_id"),
    nullable=frozenset({"adapter", "text", "finish_reason", "error"}),
)
