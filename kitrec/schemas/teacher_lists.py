"""Top-k lists of a teacher: its best items for each training row, with a confidence for each item.

A row is a position in a training sequence, identified by the user, the target domain (empty if there is only one) and
the number of items before it (`prefix_length`). Rows are matched by this key, never by their order. `next_id` is the
item at that position: if a teacher states it, the student's own sequence must agree. Items are listed best first;
confidences are distances: lower is more confident."""

import polars as pl

from kitrec.core.tables import Table

KEY = ("user_id", "target", "prefix_length")
_ITEMS, _DISTANCES = pl.col("item_ids").list, pl.col("distances").list

TEACHER_LISTS = Table(
    "teacher_lists",
    {
        "user_id": pl.String,
        "target": pl.String,
        "prefix_length": pl.Int32,
        "next_id": pl.String,
        "item_ids": pl.List(pl.String),
        "distances": pl.List(pl.Float64),
    },
    key=KEY,
    nullable=frozenset({"next_id"}),
    rules={
        "prefix_length is 1 or more": pl.col("prefix_length") >= 1,
        "a list has items": _ITEMS.len() > 0,
        "no item is empty": _ITEMS.drop_nulls().list.len() == _ITEMS.len(),
        "no item is listed twice": _ITEMS.n_unique() == _ITEMS.len(),
        "every item has a distance": _DISTANCES.drop_nulls().list.len() == _ITEMS.len(),
        "distances are finite numbers": _DISTANCES.eval(pl.element().is_finite()).list.all(),
    },
)
