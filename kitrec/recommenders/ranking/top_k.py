"""The best k items for each user, without items of the history and items released after the user's last interaction.
Items of the history stay where the model was trained to predict repeats (its `repeats` is keep).

A user whose last interaction was in 2005 is not recommended a film of 2007: years.tsv gives the release years, the
interaction times (seconds since 1970) the user's year. An item without a known year stays. What the filter removes is
counted."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kitrec.recommenders.data.interaction_filters import Repeats
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
class TopK:
    items: list[list[str]]  # per user, best first; fewer than k if fewer are left
    scores: list[list[float]]
    future_items: int  # pairs of user and item removed for the release year alone
    users_with_future_items: int


def predict(
    scorer: Scorer,
    histories: Sequences,
    k: int,
    excluded: np.ndarray | None = None,
    years: np.ndarray | None = None,
    last_years: np.ndarray | None = None,
    excluded_by_user: Sequences | None = None,
) -> TopK:
    """Rank all items; `excluded`: item numbers never recommended (0: an unknown item), `excluded_by_user`: those of
    each user, all of them known; `years` [N+1] and `last_years` [users]: the release filter."""
    items: list[list[str]] = [[] for _ in range(len(histories))]
    scores: list[list[float]] = [[] for _ in range(len(histories))]
    future_items, users_with_future_items = 0, 0
    order = by_length(histories)
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        part_histories = histories.take(part)
        table = _scores(scorer, part_histories)
        if repeats_of(scorer) != "keep":
            table[part_histories.users, part_histories.items - 1] = -np.inf
        if excluded is not None:
            table[:, excluded[excluded > 0] - 1] = -np.inf
        if excluded_by_user is not None:
            of_part = excluded_by_user.take(part)
            table[of_part.users, of_part.items - 1] = -np.inf
        if years is not None and last_years is not None:
            future = (years[None, 1:] > last_years[part, None]) & np.isfinite(table)
            future_items += int(future.sum())
            users_with_future_items += int(future.any(1).sum())
            table[future] = -np.inf
        best, values = _best(table, k)
        names, width = scorer.vocabulary.ids(best.ravel() + 1), best.shape[1]
        kept = np.isfinite(values).sum(1).tolist()  # removed items have -inf and come last
        for row, (user, user_scores, count) in enumerate(zip(part.tolist(), values.tolist(), kept, strict=True)):
            items[user], scores[user] = names[row * width : row * width + count], user_scores[:count]
    return TopK(items, scores, future_items, users_with_future_items)


def repeats_of(scorer: Scorer) -> Repeats:
    """Return the rule for repeats that a model was trained by; exported models and the pipeline's have none of them."""
    return getattr(scorer, "repeats", None) or "first"


def _scores(scorer: Scorer, histories: Sequences) -> np.ndarray:
    """[users, N]; users without a known item get the popularity."""
    with_history = np.flatnonzero(histories.lengths > 0)
    if len(with_history) == len(histories):
        return scorer.all_scores(histories)
    table = np.tile(scorer.popularity[1:], (len(histories), 1)).astype(np.float32)
    if len(with_history):
        table[with_history] = scorer.all_scores(histories.take(with_history))
    return table


def _best(table: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    k = min(k, table.shape[1])
    unsorted = np.argpartition(-table, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(table, unsorted, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(unsorted, order, axis=1)
    return best, np.take_along_axis(table, best, axis=1)
