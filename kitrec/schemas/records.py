"""Records: a held-out target interaction, the history before it (oldest first), and the candidates in display order.

Where the source is a published prompt, `source_texts`, `target_texts` and `candidate_texts` hold what that prompt said
of each item, in the order of its lists, and `published_prompt` the prompt itself; otherwise they are empty."""

import polars as pl

from kitrec.core.tables import Table, list_rating_rule, rating_rule

_COUNT = pl.col("candidate_ids").list.len()
TEXT = pl.Struct(
    {
        "item_id": pl.String,
        "title": pl.String,
        "categories": pl.String,  # as the line joins them
        "average_rating": pl.Float64,  # of candidates
        "description": pl.String,  # a summary, or the user's own review
    }
)
TEXT_COLUMNS = ("source_texts", "target_texts", "candidate_texts", "published_prompt")


def _one_text_each(side: str, ids: str) -> dict[str, pl.Expr]:
    texts = pl.col(f"{side}_texts").list.eval(pl.element().struct.field("item_id"))
    return {f"{side}_texts are of {ids}": texts == pl.col(ids)}


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
        "source_texts": pl.List(TEXT),
        "target_texts": pl.List(TEXT),
        "candidate_texts": pl.List(TEXT),
        "published_prompt": pl.String,
    },
    key=("record_id",),
    nullable=frozenset(
        {"output", "gt_rating", "gt_time", *TEXT_COLUMNS}
    ),  # prompts of KitREC's files have no timestamps
    rules={
        "all candidates differ": pl.col("candidate_ids").list.n_unique() == _COUNT,
        "every candidate has an origin": pl.col("candidate_origins").list.len() == _COUNT,
        "the ground truth is a candidate": pl.col("candidate_ids").list.contains(pl.col("gt_item_id")),
        "there is a Books history": pl.col("source_items").list.len() > 0,
        "every item of a history has its rating": (
            (pl.col("source_items").list.len() == pl.col("source_ratings").list.len())
            & (pl.col("target_items").list.len() == pl.col("target_ratings").list.len())
        ),
        **list_rating_rule("source_ratings"),
        **list_rating_rule("target_ratings"),
        **rating_rule("gt_rating"),
        **_one_text_each("source", "source_items"),
        **_one_text_each("target", "target_items"),
        **_one_text_each("candidate", "candidate_ids"),
    },
)
