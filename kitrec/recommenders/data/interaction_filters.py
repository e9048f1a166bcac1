"""What is left out of interactions before a model sees them: repeated items of a user, and thinly connected rows.

Repeats, by rule:
    first, last   a user's item counts once, at its first or last time; seen items are then never ranked, neither in a
                  validation or test nor in predictions
    keep          repeats stay, and seen items are ranked everywhere: for what people buy or play again"""

from typing import Literal, get_args

import polars as pl

from kitrec.core.errors import InputError

Repeats = Literal["first", "last", "keep"]
REPEATS: tuple[Repeats, ...] = get_args(Repeats)


def without_repeats(rows: pl.DataFrame, repeats: Repeats) -> pl.DataFrame:
    """Return rows sorted by user and time with each user's item once; `keep` returns all."""
    if repeats == "keep":
        return rows
    return rows.unique(["user", "item"], keep=repeats, maintain_order=True)


def repeated_rows(rows: pl.DataFrame) -> int:
    """Return how many rows repeat an item of their user."""
    return rows.height - rows.select(pl.struct("user", "item").n_unique()).item()


def core(rows: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return the k-core: the largest part in which every user and every item has at least k rows."""
    while True:
        enough = (pl.len().over("user") >= k) & (pl.len().over("item") >= k)
        kept = rows.filter(enough)
        if kept.height == rows.height:
            break
        rows = kept
    if rows.is_empty():
        raise InputError(f"no {k}-core: no part has {k} interactions for each of its users and items; lower --k-core")
    return rows


def left_out(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, int]:
    """Return the numbers of users, items and rows by which the second table is smaller."""
    lost = {f"{name}s": before[name].n_unique() - after[name].n_unique() for name in ("user", "item")}
    return {**lost, "rows": before.height - after.height}
