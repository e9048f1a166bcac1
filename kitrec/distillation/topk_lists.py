"""A teacher's table out of anything that scores all items: an ensemble, an oracle, a model of another kind.

    distance = -log softmax of the scores over the items that the reader did not have before
Items that the reader had are never listed, as they are never ranked. Shapes: R rows, N items."""

from collections.abc import Callable

import numpy as np
import polars as pl
from scipy.special import logsumexp

from kitrec.distillation.alignment import Rows
from kitrec.distillation.prefixes import Places, before, came, places_of
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import TEACHER

CHUNK = 256
Score = Callable[[Places, Sequences], np.ndarray]  # some places and what came before each -> [R, N]


def listed(rows: Rows, vocabulary: Vocabulary, length: int, score: Score) -> pl.DataFrame:
    """A TEACHER table of every row."""
    places, count = places_of(rows.sequences), min(length, len(vocabulary))
    items, distances = np.zeros((len(places), count), np.int64), np.zeros((len(places), count))
    for start in range(0, len(places), CHUNK):
        part = places.take(np.arange(start, min(start + CHUNK, len(places))))
        histories = before(rows.sequences, part)
        unread = without_read(score(part, histories), histories)
        items[start : start + CHUNK], distances[start : start + CHUNK] = _best(unread, count)
    return _table(rows, places, items, distances, vocabulary)


def without_read(scores: np.ndarray, histories: Sequences) -> np.ndarray:
    """The scores, those of items in a history minus infinity."""
    found = scores.copy()
    found[histories.users, histories.items - 1] = -np.inf
    return found


def _best(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[R, count] item numbers, best first (equal ones in their order), and their distances."""
    some = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(some, order, axis=1)
    return best + 1, logsumexp(scores, axis=1, keepdims=True) - np.take_along_axis(scores, best, axis=1)


def _table(
    rows: Rows, places: Places, items: np.ndarray, distances: np.ndarray, vocabulary: Vocabulary
) -> pl.DataFrame:
    """A reader who had nearly every item leaves fewer to list."""
    ids = np.array(vocabulary.item_ids)
    left = np.isfinite(distances).sum(axis=1)
    shown = [own[:count].tolist() for own, count in zip(ids[items - 1], left, strict=True)]
    apart = [own[:count].tolist() for own, count in zip(distances, left, strict=True)]
    named = rows.who[places.users].with_columns(
        seen=pl.Series(places.seen + rows.skipped[places.users], dtype=pl.Int32),
        next_id=pl.Series(vocabulary.ids(came(rows.sequences, places)), dtype=pl.String),
        item_ids=pl.Series(shown, dtype=pl.List(pl.String)),
        distances=pl.Series(apart, dtype=pl.List(pl.Float64)),
    )
    return named.select(list(TEACHER.columns))
