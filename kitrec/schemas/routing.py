"""Which adapters answered each test record of ThinkRec, and which vectors its prompts lacked.

One row per record. Without groups the lists hold the general adapter alone, and no affinity. The counts are null where
the stage's prompts show no vectors."""

import polars as pl

from kitrec.core.tables import Table

ROUTING = Table(
    "routing",
    {
        "record_id": pl.String,
        "answered_by": pl.String,  # group, general or mixture
        "adapter_weights": pl.List(pl.Float64),  # [1 + G], the general adapter first
        "group_affinities": pl.List(pl.Float64),  # [G], zero for a user without a vector
        "user_without_vector": pl.Boolean,
        "candidates_without_vector": pl.Int64,
    },
    key=("record_id",),
    nullable=frozenset({"user_without_vector", "candidates_without_vector"}),
)
