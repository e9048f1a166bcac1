"""Histories of users as sequences: the target domain's items alone or with the source's between them, in time order.

They hold the same interactions as the LLM's prompts; the held-out item comes last in training sequences and is left out
of histories to be ranked from."""

from typing import Literal

import numpy as np
import polars as pl

from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

History = Literal["target", "both"]


def user_targets(interactions: pl.DataFrame) -> pl.DataFrame:
    """Return every (user_id, target) that has a held-out item, in a fixed order."""
    return interactions.filter("held_out").select("user_id", target="domain").unique().sort("user_id", "target")


def target_domains(interactions: pl.DataFrame) -> pl.Series:
    """Return the domains of held-out items, sorted; all others are a source."""
    return interactions.filter("held_out")["domain"].unique().sort()


def histories(interactions: pl.DataFrame, users: pl.DataFrame, history: History, vocabulary: Vocabulary) -> Sequences:
    """Return the items before the held-out one for each row of `users` (user_id, target), without unknown items."""
    rows = history_interactions(interactions, users, history).filter(~pl.col("held_out"))
    return to_sequences(rows, users, vocabulary)


def training_sequences(
    interactions: pl.DataFrame, users: pl.DataFrame, history: History, vocabulary: Vocabulary
) -> Sequences:
    """Return the histories with the held-out item at their end."""
    return to_sequences(history_interactions(interactions, users, history), users, vocabulary)


def ground_truth_items(interactions: pl.DataFrame, users: pl.DataFrame, vocabulary: Vocabulary) -> np.ndarray:
    """Return the number of each row's held-out item, 0 for an item outside the vocabulary."""
    held_out = interactions.filter("held_out").select("user_id", "item_id", target="domain")
    return vocabulary.numbers(
        users.join(held_out, on=["user_id", "target"], how="left", maintain_order="left")["item_id"]
    )


def history_interactions(interactions: pl.DataFrame, users: pl.DataFrame, history: History) -> pl.DataFrame:
    """Return the interactions of each row of `users` in time order: the held-out item last, nothing from its time on.

    A user with two targets may have source items after the held-out item of one and before that of the other."""
    held_out = interactions.filter("held_out").select("user_id", target="domain", until="time")
    rows = users.with_row_index("row").join(held_out, on=["user_id", "target"], how="left")
    rows = rows.join(interactions, on="user_id")
    in_domain = pl.col("domain") == pl.col("target")
    if history == "both":
        in_domain |= ~pl.col("domain").is_in(target_domains(interactions).implode())
    before = (pl.col("time") < pl.col("until")).fill_null(value=True) | pl.col("held_out")
    return rows.filter(in_domain & before).sort("row", "time", "held_out", "item_id")


def to_sequences(rows: pl.DataFrame, users: pl.DataFrame, vocabulary: Vocabulary) -> Sequences:
    """Return the rows of `history_interactions` as sequences; items outside the vocabulary are left out."""
    numbers = vocabulary.numbers(rows["item_id"])
    in_vocabulary = numbers > 0
    return sequences_from_rows(rows["row"].to_numpy()[in_vocabulary], numbers[in_vocabulary], users.height)


def history_lists(rows: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """Return `users` (user_id, target) with lists of items and domains, from rows of `history_interactions`."""
    lists = rows.group_by("row", maintain_order=True).agg(items="item_id", domains="domain")
    joined = users.with_row_index("row").join(lists, on="row", how="left", maintain_order="left")
    empty = pl.lit([], dtype=pl.List(pl.String))
    return joined.drop("row").with_columns(pl.col("items").fill_null(empty), pl.col("domains").fill_null(empty))
