"""Next-item tasks: given a prefix of a user's sequence, which of these candidates comes next?

A row is identified as in a teacher's lists (kitrec/schemas/teacher_lists.py): the user, the target domain (empty if
there is only one), and the length of the prefix. Candidates are in the order in which they are shown."""

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.core.tables import Table
from kitrec.schemas.teacher_lists import KEY

_CANDIDATES = pl.col("candidates")

TASKS = Table(
    "tasks",
    {
        "user_id": pl.String,
        "target": pl.String,
        "prefix_length": pl.Int32,
        "history": pl.List(pl.String),  # oldest first
        "candidates": pl.List(pl.String),
        "ground_truth": pl.String,  # the next item; in a training task it must be a candidate
    },
    key=KEY,
    nullable=frozenset({"ground_truth"}),
    rules={
        "there are candidates": _CANDIDATES.list.len() > 0,
        "all candidates differ": _CANDIDATES.list.n_unique() == _CANDIDATES.list.len(),
    },
)


def build_tasks(
    sequences: dict[str, list[str]],
    prefix_lengths: dict[str, list[int]],
    target: str,
    pool: list[str],
    count: int,
    seed: int,
) -> pl.DataFrame:
    """Return a task for every user and prefix: the next item among `count` - 1 others of the pool, in random order.

    No other candidate occurs anywhere in the user's sequence. A row's list depends on the seed and its key alone."""
    rows = []
    for user, items in sequences.items():
        for length in prefix_lengths[user]:
            ground_truth = items[length]
            rng = generator(seed, "teacher candidates", user, target, length)
            candidates = [ground_truth, *_draw_negatives(rng, pool, set(items), count - 1, user)]
            shuffled = [candidates[k] for k in rng.permutation(count)]
            rows.append((user, target, length, items[:length], shuffled, ground_truth))
    return pl.DataFrame(rows, schema=dict(TASKS.columns), orient="row")


def _draw_negatives(
    rng: np.random.Generator, pool: list[str], interacted: set[str], count: int, user: str
) -> list[str]:
    """Draw `count` distinct items without interaction, few at a time, since nearly all of a large pool qualify."""
    if len(pool) < count + len(interacted) and len(set(pool) - interacted) < count:
        raise InputError(f"{user} interacted with nearly all of {len(pool)} items: {count} others cannot be drawn")
    negatives: dict[str, None] = {}
    while len(negatives) < count:
        drawn = (pool[k] for k in rng.integers(len(pool), size=2 * count))
        negatives |= dict.fromkeys(item for item in drawn if item not in interacted)
    return list(negatives)[:count]
