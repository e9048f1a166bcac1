"""A teacher's top-k lists from anything that scores all items: an ensemble, an oracle, another kind of model.

    distance = -log softmax of the scores over the items that are not in the prefix
Items of the prefix are never listed, as they are never ranked. Shapes: R prefixes, N items."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import logsumexp

from kitrec.distillation.alignment import KeyedSequences
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import TEACHER_LISTS

CHUNK = 256


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of training sequences: the sequence and the length of each."""

    users: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    def take(self, which: np.ndarray) -> "Prefixes":
        return Prefixes(self.users[which], self.lengths[which])


ScoreFunction = Callable[[Prefixes, Sequences], np.ndarray]  # prefixes and their items -> [R, N]


def all_prefixes(sequences: Sequences) -> Prefixes:
    """Return the prefixes before every item but the first of each sequence, user by user."""
    counts = np.maximum(sequences.lengths - 1, 0)
    users = np.repeat(np.arange(len(sequences)), counts)
    return Prefixes(users, np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts) + 1)


def prefix_items(sequences: Sequences, prefixes: Prefixes) -> Sequences:
    """Return the items of each prefix."""
    starts = np.concatenate([[0], np.cumsum(prefixes.lengths)]).astype(np.int64)
    indices = np.repeat(sequences.starts[prefixes.users] - starts[:-1], prefixes.lengths) + np.arange(starts[-1])
    return Sequences(sequences.items[indices], starts)


def next_items(sequences: Sequences, prefixes: Prefixes) -> np.ndarray:
    """Return the item that follows each prefix."""
    return sequences.items[sequences.starts[prefixes.users] + prefixes.lengths]


def topk_lists(rows: KeyedSequences, vocabulary: Vocabulary, length: int, score: ScoreFunction) -> pl.DataFrame:
    """Return a TEACHER_LISTS table of every row."""
    prefixes, count = all_prefixes(rows.sequences), min(length, len(vocabulary))
    items, distances = np.zeros((len(prefixes), count), np.int64), np.zeros((len(prefixes), count))
    for start in range(0, len(prefixes), CHUNK):
        part = prefixes.take(np.arange(start, min(start + CHUNK, len(prefixes))))
        histories = prefix_items(rows.sequences, part)
        scores = mask_history(score(part, histories), histories)
        items[start : start + CHUNK], distances[start : start + CHUNK] = _topk(scores, count)
    return _to_table(rows, prefixes, items, distances, vocabulary)


def mask_history(scores: np.ndarray, histories: Sequences) -> np.ndarray:
    """Return the scores with minus infinity for the items of each history."""
    masked = scores.copy()
    masked[histories.users, histories.items - 1] = -np.inf
    return masked


def _topk(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return [R, count] item numbers, best first (ties in the order of the items), and their distances."""
    candidates = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(candidates, order, axis=1)
    return best + 1, logsumexp(scores, axis=1, keepdims=True) - np.take_along_axis(scores, best, axis=1)


def _to_table(
    rows: KeyedSequences, prefixes: Prefixes, items: np.ndarray, distances: np.ndarray, vocabulary: Vocabulary
) -> pl.DataFrame:
    """Return lists as a table; after a prefix of nearly all items the list is shorter."""
    ids = np.array(vocabulary.item_ids)
    counts = np.isfinite(distances).sum(axis=1)
    id_lists = [row[:count].tolist() for row, count in zip(ids[items - 1], counts, strict=True)]
    distance_lists = [row[:count].tolist() for row, count in zip(distances, counts, strict=True)]
    table = rows.keys[prefixes.users].with_columns(
        prefix_length=pl.Series(prefixes.lengths + rows.offsets[prefixes.users], dtype=pl.Int32),
        next_id=pl.Series(vocabulary.ids(next_items(rows.sequences, prefixes)), dtype=pl.String),
        item_ids=pl.Series(id_lists, dtype=pl.List(pl.String)),
        distances=pl.Series(distance_lists, dtype=pl.List(pl.Float64)),
    )
    return table.select(list(TEACHER_LISTS.columns))
