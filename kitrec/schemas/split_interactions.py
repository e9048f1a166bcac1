"""The interactions the records show, for ID models: what the LLM sees, and marked `held_out` what it must not."""

import polars as pl

from kitrec.core.tables import Table, stars

SEEN = Table(
    "seen",
    {
        "user_id": pl.String,
        "domain": pl.String,
        "item_id": pl.String,
        "rating": pl.Float64,
        "time": pl.Int64,
        "held_out": pl.Boolean,
    },
    key=("user_id", "item_id"),
    nullable=frozenset({"rating"}),  # some prompts do not tell
    rules=stars("rating"),
)
