"""What a model may read of each reader: the target domain's items alone, or the Books between them, in time order.

The same interactions as the prompts of the LLM show; what is held out (the truth) comes last where it is to be
learned, and not at all where it is to be ranked."""

from typing import Literal

import numpy as np
import polars as pl

from kitrec.core.domains import SOURCE
from kitrec.recommenders.data.sequences import Sequences, of_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

History = Literal["target", "both"]


def readers(seen: pl.DataFrame) -> pl.DataFrame:
    """Every (user_id, target) that has something held out, in a fixed order."""
    return seen.filter("held_out").select("user_id", target="domain").unique().sort("user_id", "target")


def histories(seen: pl.DataFrame, who: pl.DataFrame, history: History, vocabulary: Vocabulary) -> Sequences:
    """What came before the held-out item of each row of `who` (user_id, target); unknown items are left out."""
    return sequences_of(met(seen, who, history).filter(~pl.col("held_out")), who, vocabulary)


def with_truths(seen: pl.DataFrame, who: pl.DataFrame, history: History, vocabulary: Vocabulary) -> Sequences:
    """The same with the held-out item at the end: what a model learns from."""
    return sequences_of(met(seen, who, history), who, vocabulary)


def truths(seen: pl.DataFrame, who: pl.DataFrame, vocabulary: Vocabulary) -> np.ndarray:
    """The number of the held-out item of each row; 0 where training does not know it."""
    held_out = seen.filter("held_out").select("user_id", "item_id", target="domain")
    return vocabulary.numbers(
        who.join(held_out, on=["user_id", "target"], how="left", maintain_order="left")["item_id"]
    )


def met(seen: pl.DataFrame, who: pl.DataFrame, history: History) -> pl.DataFrame:
    """`seen` by the row of `who` it belongs to, in time order: the held-out item last, nothing from its time on.

    Who reads towards two targets has Books after the truth of one and before that of the other."""
    truth = seen.filter("held_out").select("user_id", target="domain", until="time")
    rows = who.with_row_index("row").join(truth, on=["user_id", "target"], how="left").join(seen, on="user_id")
    wanted = pl.col("domain") == pl.col("target")
    if history == "both":
        wanted |= pl.col("domain") == SOURCE
    before = (pl.col("time") < pl.col("until")).fill_null(value=True) | pl.col("held_out")
    return rows.filter(wanted & before).sort("row", "time", "held_out", "item_id")


def sequences_of(rows: pl.DataFrame, who: pl.DataFrame, vocabulary: Vocabulary) -> Sequences:
    """The rows of `met` that the vocabulary knows."""
    numbers = vocabulary.numbers(rows["item_id"])
    known = numbers > 0
    return of_rows(rows["row"].to_numpy()[known], numbers[known], who.height)
