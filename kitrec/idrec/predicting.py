"""The best k items for each reader, those already seen left out, and none that came out after the reader's last visit.

A reader whose last interaction was in 2005 is not offered a film of 2007: years.tsv gives the years, the interaction
times (seconds since 1970) the reader's. An item without a known year stays. What was left out is counted."""

from dataclasses import dataclass

import numpy as np
import torch

from kitrec.idrec.packed import by_length
from kitrec.idrec.ranking import represent
from kitrec.idrec.sequences import Sequences
from kitrec.idrec.storing import Stored

CHUNK = 512


@dataclass(frozen=True)
class Predicted:
    items: list[list[str]]  # best first, of each reader; fewer than k where fewer were left
    scores: list[list[float]]
    from_the_future: int  # pairs of reader and item that were left out for their year
    readers_with_future: int


def predict(
    stored: Stored,
    histories: Sequences,
    topk: int,
    excluded: np.ndarray | None = None,
    years: np.ndarray | None = None,
    visited: np.ndarray | None = None,
) -> Predicted:
    """`excluded`: item numbers that nobody is offered; `years` [N+1] and `visited` [readers] (a year): the filter."""
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
            table[:, excluded - 1] = -np.inf
        if years is not None and visited is not None:
            late = years[None, 1:] > visited[part, None]
            future, affected = future + int(late.sum()), affected + int(late.any(1).sum())
            table[late] = -np.inf
        for reader, best, values in zip(part, *_best(table, topk), strict=True):
            kept = np.isfinite(values)
            items[reader] = stored.vocabulary.ids(best[kept] + 1)
            scores[reader] = values[kept].tolist()
    return Predicted(items, scores, future, affected)


def _scores(stored: Stored, histories: Sequences) -> np.ndarray:
    """[readers, N]; a reader without a known item gets the popularity."""
    table = np.tile(stored.popularity[1:], (len(histories), 1)).astype(np.float32)
    read = np.flatnonzero(histories.lengths > 0)
    if len(read):
        weight, bias = stored.model.output()
        with torch.inference_mode():
            values = represent(stored.model, histories.take(read)) @ weight.T
            table[read] = (values if bias is None else values + bias).cpu().numpy()
    return table


def _best(table: np.ndarray, topk: int) -> tuple[np.ndarray, np.ndarray]:
    k = min(topk, table.shape[1])
    some = np.argpartition(-table, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(table, some, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(some, order, axis=1)
    return best, np.take_along_axis(table, best, axis=1)
