"""Alignment of a teacher's lists with the positions of a student's sequences: matched by key, checked, counted.

rows       every position of a sequence that has a prefix: (user_id, target, prefix_length), where the length counts
           from the user's first item even if a sequence is a later window of it
refused    always: a teacher whose `next_id` differs from the item in the sequence
missing    rows without a list, lists of unknown rows, lists shorter than topk, items that the student does not have:
           refused, or masked and counted. A masked item leaves its rank empty; later items do not move up"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import KEY


@dataclass(frozen=True)
class KeyedSequences:
    """Training sequences and the keys of their positions."""

    sequences: Sequences
    keys: pl.DataFrame  # user_id, target of each sequence
    offsets: np.ndarray  # items of the user before the sequence's first

    def take(self, which: np.ndarray) -> "KeyedSequences":
        """Return some of the sequences."""
        return KeyedSequences(self.sequences.take(which), self.keys[which], self.offsets[which])

    def positions(self, vocabulary: Vocabulary) -> pl.DataFrame:
        """Return user_id, target, prefix_length, item_id and index (into the items) of every position with a prefix."""
        sequences = self.sequences
        within = np.arange(len(sequences.items)) - np.repeat(sequences.starts[:-1], sequences.lengths)
        positions = self.keys[sequences.users].with_columns(
            prefix_length=pl.Series(within + self.offsets[sequences.users], dtype=pl.Int32),
            item_id=pl.Series(vocabulary.ids(sequences.items), dtype=pl.String),
            index=pl.Series(np.arange(len(sequences.items)), dtype=pl.Int64),
        )
        return positions.filter(pl.col("prefix_length") > 0)


@dataclass(frozen=True)
class AlignedLists:
    """A teacher's lists by the positions of a student's sequences. R lists, K items each."""

    list_of_position: np.ndarray  # [sum of lengths] index of a list, -1 for none
    items: np.ndarray  # [R, K] item numbers, 0 for none
    distances: np.ndarray  # [R, K] infinite for none
    counts: dict[str, int]


def full_sequences(sequences: Sequences, keys: pl.DataFrame) -> KeyedSequences:
    """Return sequences that begin with each user's first item."""
    return KeyedSequences(sequences, keys.select("user_id", "target"), np.zeros(len(sequences), dtype=np.int64))


def split_into_windows(rows: KeyedSequences, max_length: int, overlap: int) -> KeyedSequences:
    """Split sequences into windows of at most `max_length` items, so that a short-context model sees every position."""
    step = max_length - overlap
    lengths = rows.sequences.lengths
    windows = np.maximum(-(-(lengths - overlap) // step), 1)
    which = np.repeat(np.arange(len(lengths)), windows)
    number = np.arange(len(which)) - np.repeat(np.cumsum(windows) - windows, windows)
    ends = lengths[which] - (windows[which] - 1 - number) * step
    first = np.maximum(ends - max_length, 0)
    starts = np.concatenate([[0], np.cumsum(ends - first)])
    indices = np.repeat(rows.sequences.starts[which] + first - starts[:-1], ends - first) + np.arange(starts[-1])
    return KeyedSequences(
        Sequences(rows.sequences.items[indices], starts), rows.keys[which], rows.offsets[which] + first
    )


def align(
    teacher: pl.DataFrame,
    rows: KeyedSequences,
    vocabulary: Vocabulary,
    topk: int,
    missing: Literal["refuse", "mask"],
) -> AlignedLists:
    """Match the teacher's first `topk` items to every position; what is missing is refused or counted."""
    _check_lists(teacher)
    lists, positions = teacher.with_row_index("list"), rows.positions(vocabulary)
    matched = positions.join(lists.select(*KEY, "list", "next_id"), on=list(KEY), how="left", maintain_order="left")
    _check_next_items(matched)
    items, distances = _to_arrays(teacher, vocabulary, topk)
    lengths = teacher["item_ids"].list.len().to_numpy()
    empty = (items == 0).all(1)
    counts = {
        "rows": positions.height,
        "rows without a list": matched["list"].null_count(),
        "lists of unknown rows": teacher.join(positions, on=list(KEY), how="anti").height,
        f"lists shorter than {topk}": int((lengths < topk).sum()),
        "listed items that the student does not know": int(((items == 0) & (distances < np.inf)).sum()),
    }
    problems = [f"{count} {what}" for what, count in list(counts.items())[1:] if count]
    if problems and missing == "refuse":
        raise InputError(
            f"the teacher does not fit the student's rows: {', '.join(problems)}{_first_without_list(matched)}; "
            f"make it of the same training rows, or set missing: mask"
        )
    unstated = matched["next_id"].null_count() - matched["list"].null_count()
    if unstated and counts["lists of unknown rows"]:
        raise InputError(
            f"{unstated} rows of the teacher state no next item, and {counts['lists of unknown rows']} of its rows are "
            "none of the student's: all may be shifted. Give next_id, or leave out the rows that the student lacks"
        )
    list_of_position = np.full(len(rows.sequences.items), -1, dtype=np.int64)
    index = matched["list"].cast(pl.Int64).fill_null(-1).to_numpy()
    usable = (index >= 0) & ~np.append(empty, True)[index]
    list_of_position[matched["index"].to_numpy()] = np.where(usable, index, -1)
    counts["distilled rows"] = int((list_of_position >= 0).sum())
    if not counts["distilled rows"]:
        raise InputError("the teacher has no list for any row of the student: it was made of other users or items")
    return AlignedLists(list_of_position, items, np.where(items > 0, distances, np.inf).astype(np.float32), counts)


def _check_lists(teacher: pl.DataFrame) -> None:
    """Apply the rules of teacher files (tables.read) to a table made in memory."""
    duplicates = int(teacher.select(KEY).is_duplicated().sum())
    lengths, items = teacher["item_ids"].list.len(), teacher["item_ids"].list
    if (lengths != teacher["distances"].list.len()).any() or (items.n_unique() != lengths).any():
        raise InputError("the teacher lists an item twice in a row, or lacks the distance of an item")
    finite = teacher["distances"].explode().is_finite().fill_null(False)
    if duplicates or not finite.all():
        raise InputError(
            f"the teacher has {duplicates} duplicate rows and {int((~finite).sum())} distances that are not finite"
        )


def _check_next_items(matched: pl.DataFrame) -> None:
    different = matched.filter(pl.col("next_id") != pl.col("item_id"))
    if different.height:
        row = different.row(0, named=True)
        raise InputError(
            f"{different.height} rows of the teacher state another next item than the student's sequences, the first "
            f"is user {row['user_id']} {row['target']}, prefix length {row['prefix_length']}: {row['next_id']} for "
            f"{row['item_id']}; its rows are shifted or of other data"
        )


def _first_without_list(matched: pl.DataFrame) -> str:
    unmatched = matched.filter(pl.col("list").is_null())
    if unmatched.is_empty():
        return ""
    row = unmatched.row(0, named=True)
    return f" (the first row without: user {row['user_id']} {row['target']}, prefix length {row['prefix_length']})"


def _to_arrays(teacher: pl.DataFrame, vocabulary: Vocabulary, topk: int) -> tuple[np.ndarray, np.ndarray]:
    """Return [R, K] item numbers (0: unknown or absent) and distances (infinite: absent)."""
    items, distances = np.zeros((teacher.height, topk), np.int64), np.full((teacher.height, topk), np.inf)
    head = teacher.select(pl.col("item_ids", "distances").list.head(topk)).with_row_index("list")
    flat = head.explode("item_ids", "distances")
    index = flat["list"].cast(pl.Int64).to_numpy()
    rank = np.arange(len(index)) - np.searchsorted(index, index)
    items[index, rank], distances[index, rank] = vocabulary.numbers(flat["item_ids"]), flat["distances"].to_numpy()
    return items, distances
