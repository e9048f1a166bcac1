"""Rankings, the common output of all kinds of models: no later stage depends on the model that produced them."""

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.tables import Table

RANKINGS = Table(
    "rankings",
    {
        "method": pl.String,
        "record_id": pl.String,
        "kind": pl.String,
        "item_ids": pl.List(pl.String),
        "scores": pl.List(pl.Float64),
        "status": pl.String,
        "invalid_ids": pl.List(pl.String),
        "confidence": pl.Float64,
        "rationale": pl.String,
        "thinking_characters": pl.Int32,
        "candidate_hash": pl.String,
        "answer_items": pl.Int32,  # items that a written answer was asked for
    },
    key=("method", "record_id", "kind"),
    nullable=frozenset({"scores", "confidence", "rationale", "answer_items"}),
)


def from_scores(method: str, records: pl.DataFrame, scores: np.ndarray | list[list[float]]) -> pl.DataFrame:
    """Rank the candidates of every record by descending score; equal scores are kept and stay visible as ties."""
    rows = records.select(
        pl.lit(method).alias("method"),
        "record_id",
        "candidate_hash",
        item_ids="candidate_ids",
        scores=_lists(scores),
    )
    if not rows["scores"].explode().is_finite().fill_null(False).all():
        raise InputError(f"{method}: a score is missing, NaN or infinite; every candidate needs a number")
    order = pl.col("scores").list.eval(pl.element().arg_sort(descending=True, nulls_last=True))
    return rows.with_columns(order.alias("order")).select(
        "method",
        "record_id",
        pl.lit("scored").alias("kind"),
        pl.col("item_ids").list.gather(pl.col("order")),
        pl.col("scores").list.gather(pl.col("order")),
        pl.lit("ok").alias("status"),
        pl.lit([], dtype=pl.List(pl.String)).alias("invalid_ids"),
        pl.lit(None, dtype=pl.Float64).alias("confidence"),
        pl.lit(None, dtype=pl.String).alias("rationale"),
        pl.lit(0, dtype=pl.Int32).alias("thinking_characters"),
        "candidate_hash",
        pl.lit(None, dtype=pl.Int32).alias("answer_items"),
    )


def _lists(scores: np.ndarray | list[list[float]]) -> pl.Series:
    return pl.Series(scores.tolist() if isinstance(scores, np.ndarray) else scores, dtype=pl.List(pl.Float64))
