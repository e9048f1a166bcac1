"""The best k items for each user, without items of the history and items released after the user's last interaction.
Items of the history stay where the model was trained to predict repeats (its `repeats` is keep).

A user whose last interaction was in 2005 is not recommended a film of 2007: years.tsv gives the release years, the
interaction times (seconds since 1970) the user's year. An item without a known year stays. What the filter removes is
counted. Users without a known item get the most popular ones. Shapes: U users of a chunk, N items, d width."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from kitrec.recommenders.data.interaction_filters import Repeats
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.item_search import ItemSearch
from kitrec.recommenders.ranking.removed_items import RemovedItems, distinct_pairs


class Scorer(Protocol):
    """A model that scores all its items, in torch or exported."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def popularity(self) -> np.ndarray: ...

    @property
    def search(self) -> ItemSearch: ...

    def states(self, histories: Sequences) -> torch.Tensor: ...


@dataclass(frozen=True)
class TopK:
    items: list[list[str]]  # per user, best first; fewer than k if fewer are left
    scores: list[list[float]]
    future_items: int  # pairs of user and item removed for the release year alone
    users_with_future_items: int


@dataclass(frozen=True)
class _Exclusions:
    """What is removed from the rankings of all users, by item numbers."""

    histories: Sequences
    excluded: np.ndarray | None
    excluded_by_user: Sequences | None
    years: np.ndarray | None
    last_years: np.ndarray | None

    def of(self, users: np.ndarray, search: ItemSearch, *, keeps_repeats: bool) -> RemovedItems:
        """Return what is removed for a chunk of users."""
        device, tables = search.device, [None if keeps_repeats else self.histories, self.excluded_by_user]
        parts = [table.take(users) for table in tables if table is not None]
        of_user = np.concatenate([np.empty(0, np.int64), *(part.users for part in parts)])
        items = np.concatenate([np.empty(0, np.int64), *(part.items - 1 for part in parts)])
        nobody = torch.arange(search.padded, device=device) >= search.items
        if self.excluded is not None:
            nobody[torch.from_numpy(self.excluded[self.excluded > 0] - 1).to(device)] = True
        years, last_years = None, None
        if self.years is not None and self.last_years is not None:
            years = F.pad(torch.from_numpy(self.years[1:]).to(device), (0, search.padded - search.items), value=np.nan)
            last_years = torch.from_numpy(self.last_years[users]).to(device)
        return RemovedItems(nobody, *distinct_pairs(of_user, items, len(users)), years, last_years)


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
    exclusions = _Exclusions(histories, excluded, excluded_by_user, years, last_years)
    items: list[list[str]] = [[] for _ in range(len(histories))]
    scores: list[list[float]] = [[] for _ in range(len(histories))]
    future_items, users_with_future_items = 0, 0
    for users, search, states in _chunks(scorer, histories, k):
        removed = exclusions.of(users, search, keeps_repeats=repeats_of(scorer) == "keep")
        future = removed.future_items()
        future_items += int(future.sum())
        users_with_future_items += int((future > 0).sum())
        best, values = search.best(states, k, removed)
        kept, width = np.isfinite(values), best.shape[1]  # removed items have -inf and come last
        names = scorer.vocabulary.ids(np.where(kept, best, 1).ravel())
        rows = zip(users.tolist(), values.tolist(), kept.sum(1).tolist(), strict=True)
        for row, (user, user_scores, count) in enumerate(rows):
            items[user], scores[user] = names[row * width : row * width + count], user_scores[:count]
    return TopK(items, scores, future_items, users_with_future_items)


def repeats_of(scorer: Scorer) -> Repeats:
    """Return the rule for repeats that a model was trained by; exported models and the pipeline's have none of them."""
    return getattr(scorer, "repeats", None) or "first"


def _chunks(scorer: Scorer, histories: Sequences, k: int) -> Iterator[tuple[np.ndarray, ItemSearch, torch.Tensor]]:
    """Yield users, the items to search and the users' states; users without a known item search by popularity."""
    order, cold = by_length(histories), int((histories.lengths == 0).sum())
    if cold:
        popular = ItemSearch(torch.from_numpy(scorer.popularity[1:, None]))
        for users in _parts(order[:cold], popular.users_at_once(k)):
            yield users, popular, torch.ones(len(users), 1)
    if cold < len(order):
        for users in _parts(order[cold:], scorer.search.users_at_once(k)):
            yield users, scorer.search, scorer.states(histories.take(users))


def _parts(users: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(users), size):
        yield users[start : start + size]
