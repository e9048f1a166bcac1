"""What a teacher is asked: after so many items of a reader, which of these candidates comes next?

A row is a place in a reader's sequence, named as in a teacher's table (kitrec/schemas/teacher_lists.py): the reader,
the target domain (empty where there is only one), and how many items of the sequence came before. Candidates stand in
the order in which they are shown."""

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.core.tables import Table
from kitrec.schemas.teacher_lists import KEY

_LISTED = pl.col("candidates")

TASKS = Table(
    "tasks",
    {
        "user_id": pl.String,
        "target": pl.String,
        "seen": pl.Int32,
        "history": pl.List(pl.String),  # oldest first
        "candidates": pl.List(pl.String),
        "truth": pl.String,  # what came next; to be learned from, it must be a candidate
    },
    key=KEY,
    nullable=frozenset({"truth"}),
    rules={
        "there are candidates": _LISTED.list.len() > 0,
        "all candidates differ": _LISTED.list.n_unique() == _LISTED.list.len(),
    },
)


def tasks_of(
    sequences: dict[str, list[str]], places: dict[str, list[int]], target: str, pool: list[str], count: int, seed: int
) -> pl.DataFrame:
    """For each reader and place the item that came there among `count` - 1 others of the pool, in a drawn order.

    No other candidate is anything the reader ever touched. A row's list belongs to the seed and its key alone."""
    rows = []
    for user, items in sequences.items():
        for seen in places[user]:
            truth = items[seen]
            rng = generator(seed, "teacher candidates", user, target, seen)
            listed = [truth, *_others(rng, pool, set(items), count - 1, user)]
            shown = [listed[k] for k in rng.permutation(count)]
            rows.append((user, target, seen, items[:seen], shown, truth))
    return pl.DataFrame(rows, schema=dict(TASKS.columns), orient="row")


def _others(rng: np.random.Generator, pool: list[str], touched: set[str], count: int, user: str) -> list[str]:
    """`count` different untouched items; few are drawn at a time, since nearly all of a large pool are untouched."""
    if len(pool) < count + len(touched) and len(set(pool) - touched) < count:
        raise InputError(f"{user} has touched nearly all of {len(pool)} items: {count} others cannot be drawn")
    found: dict[str, None] = {}
    while len(found) < count:
        drawn = (pool[k] for k in rng.integers(len(pool), size=2 * count))
        found |= dict.fromkeys(item for item in drawn if item not in touched)
    return list(found)[:count]
