"""The best k items for each reader, those already seen left out, and none that came out after the reader's last visit.

A reader whose last interaction was in 2005 is not offered a film of 2007: years.tsv gives the years, the interaction
times (seconds since 1970) the reader's. An item without a known year stays. What was left out is counted."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary

CHUNK = 512


class Scorer(Protocol):
    """A model that scores all its items, in torch or exported."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def popularity(self) -> np.ndarray: ...

    def all_scores(self, histories: Sequences) -> np.ndarray: ...


@dataclass(frozen=True)
class Predicted:
    items: list[list[str]]  # best first, of each reader; fewer than k where fewer were left
    scores: list[list[float]]
    from_the_future: int  # pairs of reader and item that were left out for their year alone
    readers_with_future: int


def predict(
    stored: Scorer,
    histories: Sequences,
    topk: int,
    excluded: np.ndarray | None = None,
    years: np.ndarray | None = None,
    visited: np.ndarray | None = None,
) -> Predicted:
    """`excluded`: item numbers that nobody is offered (0: an unknown item); `years` [N+1] and `visited` [readers] (a
    year): the filter."""
    items: list[list[str]] = [[] for _ in range(len(histories))]
    scores: list[list[float]] = [[] for _ in range(len(histories))]
    future, affected = 0, 0
    order = by_length(histories)
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        own = histories.take(part)
        table = _scores(stored, own)
        table[own.users, own.items - 1] = -np.inf
        if excluded is not None:
            table[:, excluded[excluded > 0] - 1] = -np.inf
        if years is not None and visited is not None:
            late = (years[None, 1:] > visited[part, None]) & np.isfinite(table)
            future, affected = future + int(late.sum()), affected + int(late.any(1).sum())
            table[late] = -np.inf
        best, values = _best(table, topk)
        names, width = stored.vocabulary.ids(best.ravel() + 1), best.shape[1]
        left = np.isfinite(values).sum(1).tolist()  # who is out of the race stands last
        for row, (reader, own, kept) in enumerate(zip(part.tolist(), values.tolist(), left, strict=True)):
            items[reader], scores[reader] = names[row * width : row * width + kept], own[:kept]
    return Predicted(items, scores, future, affected)


def _scores(stored: Scorer, histories: Sequences) -> np.ndarray:
    """[readers, N]; a reader without a known item gets the popularity."""
    read = np.flatnonzero(histories.lengths > 0)
    if len(read) == len(histories):
        return stored.all_scores(histories)
    table = np.tile(stored.popularity[1:], (len(histories), 1)).astype(np.float32)
    if len(read):
        table[read] = stored.all_scores(histories.take(read))
    return table


def _best(table: np.ndarray, topk: int) -> tuple[np.ndarray, np.ndarray]:
    k = min(topk, table.shape[1])
    some = np.argpartition(-table, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(table, some, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(some, order, axis=1)
    return best, np.take_along_axis(table, best, axis=1)
