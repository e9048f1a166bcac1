"""Which line of a teacher speaks of which place of a student's sequences: found by name, checked, counted.

rows       every place of a sequence with something before it: (user_id, target, seen), seen counted from the
           reader's first item even where a sequence is a later part of it
refused    always: a teacher whose `next_id` is another item than the sequence's own
gaps       rows without a list, lists of rows that are not there, lists shorter than topk, items the student does
           not know: refused, or masked and counted. A masked item leaves its rank empty: nothing moves up"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import KEY


@dataclass(frozen=True)
class Rows:
    """Training sequences and the names of their places."""

    sequences: Sequences
    who: pl.DataFrame  # user_id, target of each sequence
    skipped: np.ndarray  # items of the reader that came before the sequence's first

    def take(self, which: np.ndarray) -> "Rows":
        """Some of the sequences."""
        return Rows(self.sequences.take(which), self.who[which], self.skipped[which])

    def names(self, vocabulary: Vocabulary) -> pl.DataFrame:
        """user_id, target, seen, own_id, place: of every place among the sequences' items that has a past."""
        own = self.sequences
        within = np.arange(len(own.items)) - np.repeat(own.starts[:-1], own.lengths)
        named = self.who[own.users].with_columns(
            seen=pl.Series(within + self.skipped[own.users], dtype=pl.Int32),
            own_id=pl.Series(vocabulary.ids(own.items), dtype=pl.String),
            place=pl.Series(np.arange(len(own.items)), dtype=pl.Int64),
        )
        return named.filter(pl.col("seen") > 0)


@dataclass(frozen=True)
class Lists:
    """A teacher's lists by the places of a student's sequences. R lists, K items each."""

    of_place: np.ndarray  # [sum of lengths] which list, -1 for none
    items: np.ndarray  # [R, K] item numbers, 0 for none
    distances: np.ndarray  # [R, K] infinite for none
    told: dict[str, int]


def whole(sequences: Sequences, who: pl.DataFrame) -> Rows:
    """Sequences that begin with each reader's first item."""
    return Rows(sequences, who.select("user_id", "target"), np.zeros(len(sequences), dtype=np.int64))


def cut(rows: Rows, longest: int, shared: int) -> Rows:
    """Parts of at most `longest` items, so that a model of few places learns every place; neighbours share items."""
    step = longest - shared
    lengths = rows.sequences.lengths
    parts = np.maximum(-(-(lengths - shared) // step), 1)
    which = np.repeat(np.arange(len(lengths)), parts)
    number = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts)
    ends = lengths[which] - (parts[which] - 1 - number) * step
    first = np.maximum(ends - longest, 0)
    starts = np.concatenate([[0], np.cumsum(ends - first)])
    where = np.repeat(rows.sequences.starts[which] + first - starts[:-1], ends - first) + np.arange(starts[-1])
    return Rows(Sequences(rows.sequences.items[where], starts), rows.who[which], rows.skipped[which] + first)


def align(
    teacher: pl.DataFrame, rows: Rows, vocabulary: Vocabulary, topk: int, gaps: Literal["refuse", "mask"]
) -> Lists:
    """The teacher's first `topk` items of every place; what is missing is refused or counted."""
    _sound(teacher)
    lines, names = teacher.with_row_index("line"), rows.names(vocabulary)
    found = names.join(lines.select(*KEY, "line", "next_id"), on=list(KEY), how="left", maintain_order="left")
    _same_items(found)
    items, distances = _arrays(teacher, vocabulary, topk)
    lengths = teacher["item_ids"].list.len().to_numpy()
    empty = (items == 0).all(1)
    told = {
        "rows": names.height,
        "rows without a list": found["line"].null_count(),
        "lists of unknown rows": teacher.join(names, on=list(KEY), how="anti").height,
        f"lists shorter than {topk}": int((lengths < topk).sum()),
        "listed items that the student does not know": int(((items == 0) & (distances < np.inf)).sum()),
    }
    wrong = [f"{count} {what}" for what, count in list(told.items())[1:] if count]
    if wrong and gaps == "refuse":
        raise InputError(
            f"the teacher does not fit the student's rows: {', '.join(wrong)}{_first(found)}; "
            f"make it of the same training rows, or set gaps: mask"
        )
    silent = found["next_id"].null_count() - found["line"].null_count()
    if silent and told["lists of unknown rows"]:
        raise InputError(
            f"{silent} rows of the teacher tell no next item, and {told['lists of unknown rows']} of its rows are none "
            "of the student's: all may be shifted. Give next_id, or leave out the rows that the student has not"
        )
    of_place = np.full(len(rows.sequences.items), -1, dtype=np.int64)
    line = found["line"].cast(pl.Int64).fill_null(-1).to_numpy()
    of_place[found["place"].to_numpy()] = np.where((line >= 0) & ~np.append(empty, True)[line], line, -1)
    told["distilled rows"] = int((of_place >= 0).sum())
    if not told["distilled rows"]:
        raise InputError("the teacher speaks of no row of the student: it was made of other readers or other items")
    return Lists(of_place, items, np.where(items > 0, distances, np.inf).astype(np.float32), told)


def _sound(teacher: pl.DataFrame) -> None:
    """What no file of a teacher has (tables.read), a table made in memory must not have either."""
    twice = int(teacher.select(KEY).is_duplicated().sum())
    lengths, listed = teacher["item_ids"].list.len(), teacher["item_ids"].list
    if (lengths != teacher["distances"].list.len()).any() or (listed.n_unique() != lengths).any():
        raise InputError("the teacher lists an item twice in a row, or has not a distance for every item")
    numbers = teacher["distances"].explode().is_finite().fill_null(False)
    if twice or not numbers.all():
        raise InputError(
            f"the teacher has {twice} doubled rows and {int((~numbers).sum())} distances that are no numbers"
        )


def _same_items(found: pl.DataFrame) -> None:
    other = found.filter(pl.col("next_id") != pl.col("own_id"))
    if other.height:
        row = other.row(0, named=True)
        raise InputError(
            f"{other.height} rows of the teacher tell another next item than the student's sequences, the first is "
            f"reader {row['user_id']} {row['target']}, {row['seen']} seen: {row['next_id']} for {row['own_id']}; "
            f"its rows are shifted or of other data"
        )


def _first(found: pl.DataFrame) -> str:
    missing = found.filter(pl.col("line").is_null())
    if missing.is_empty():
        return ""
    row = missing.row(0, named=True)
    return f" (the first row without: reader {row['user_id']} {row['target']}, {row['seen']} seen)"


def _arrays(teacher: pl.DataFrame, vocabulary: Vocabulary, topk: int) -> tuple[np.ndarray, np.ndarray]:
    """[R, K] item numbers (0: unknown or not there) and distances (infinite: not there)."""
    items, distances = np.zeros((teacher.height, topk), np.int64), np.full((teacher.height, topk), np.inf)
    head = teacher.select(pl.col("item_ids", "distances").list.head(topk)).with_row_index("line")
    flat = head.explode("item_ids", "distances")
    line = flat["line"].cast(pl.Int64).to_numpy()
    rank = np.arange(len(line)) - np.searchsorted(line, line)
    items[line, rank], distances[line, rank] = vocabulary.numbers(flat["item_ids"]), flat["distances"].to_numpy()
    return items, distances
