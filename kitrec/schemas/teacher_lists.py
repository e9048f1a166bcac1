"""What a teacher hands on: for training rows its best items and how sure it was of each.

A row is a place in a training sequence, named by the reader, the target domain (empty where there is only one) and how
many items of the sequence came before it (`seen`). Rows are found by this name, never by their order. `next_id` is the
item that really came next: where a teacher tells it, the student's own sequence must say the same. Items stand best
first; confidences are distances: lower is surer."""

import polars as pl

from kitrec.core.tables import Table

KEY = ("user_id", "target", "seen")
_ITEMS, _DISTANCES = pl.col("item_ids").list, pl.col("distances").list

TEACHER = Table(
    "teacher",
    {
        "user_id": pl.String,
        "target": pl.String,
        "seen": pl.Int32,
        "next_id": pl.String,
        "item_ids": pl.List(pl.String),
        "distances": pl.List(pl.Float64),
    },
    key=KEY,
    nullable=frozenset({"next_id"}),
    rules={
        "seen is 1 or more": pl.col("seen") >= 1,
        "a list has items": _ITEMS.len() > 0,
        "no item is empty": _ITEMS.drop_nulls().list.len() == _ITEMS.len(),
        "no item is listed twice": _ITEMS.n_unique() == _ITEMS.len(),
        "every item has a distance": _DISTANCES.drop_nulls().list.len() == _ITEMS.len(),
        "distances are finite numbers": _DISTANCES.eval(pl.element().is_finite()).list.all(),
    },
)
