"""Scores: the metrics of every ranking, with the columns that strata are formed by."""

import polars as pl

from kitrec.core.tables import Table

METRICS = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@5", "ndcg@10")

SCORES = Table(
    "scores",
    {
        "method": pl.String,
        "record_id": pl.String,
        "kind": pl.String,
        "user_id": pl.String,
        "target": pl.String,
        "user_type": pl.String,
        "user_category": pl.String,
        "core": pl.String,
        "gt_has_metadata": pl.Boolean,
        "candidate_hash": pl.String,
        **dict.fromkeys(METRICS, pl.Float64),
    },
    key=("method", "record_id", "kind"),
)
