"""Item-kNN across domains (Deshpande and Karypis: Item-Based Top-N Recommendation Algorithms, TOIS 2004).

    sim(i, j) = |U_i & U_j| / (sqrt(|U_i| |U_j|) + shrink)         U_i the training users with item i, of any domain
    r_uj = sum of sim(i, j) over the user's items i among the k nearest of j
Similarities across domains count like those within one: a user's books score films that users of these books watched.
Only the k nearest of each item are kept, computed in blocks of items, so the full similarity matrix is never held."""

from functools import cached_property

import numpy as np
import torch
from scipy import sparse

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import Sequences, interaction_matrix
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Ranker

BLOCK, CHUNK = 1024, 512
FEW = 16  # candidates are few where there are this many times as many items


class ItemKNN(Ranker):
    """neighbours [N + 1, k] item numbers (0: none), similarities [N + 1, k]"""

    def __init__(self, neighbours: torch.Tensor, similarities: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("neighbours", neighbours)
        self.register_buffer("similarities", similarities)

    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        interactions = interaction_matrix(users.histories, self._weights.shape[0] - 1)
        scores = np.empty(candidates.shape, dtype=np.float32)
        for start in range(0, len(users), CHUNK):
            part = slice(start, start + CHUNK)
            scores[part] = _scores_among(interactions[part] @ self._weights, candidates[part])
        return scores

    @cached_property
    def _weights(self) -> sparse.csr_matrix:
        """[N + 1, N + 1] from an item to those that have it among their neighbours."""
        neighbours, similarities = self.get_buffer("neighbours").numpy(), self.get_buffer("similarities").numpy()
        columns = np.repeat(np.arange(len(neighbours)), neighbours.shape[1])
        shape = (len(neighbours), len(neighbours))
        return sparse.csr_matrix((similarities.ravel(), (neighbours.ravel(), columns)), shape=shape)


def _scores_among(scores: sparse.csr_matrix, candidates: np.ndarray) -> np.ndarray:
    """Return the scores [users, C] of candidates; for few of them no table of all items is made."""
    if candidates.shape[1] * FEW > scores.shape[1]:
        return np.take_along_axis(scores.toarray(), candidates, axis=1)
    scores.sort_indices()
    chosen: np.ndarray = scores[np.arange(len(candidates))[:, None], candidates].toarray()
    return chosen


def fit(histories: Sequences, items: int, p: params.ItemKNN) -> ItemKNN:
    """Compute the nearest neighbours of every item from training histories."""
    interactions = interaction_matrix(histories, items).astype(np.float64)
    by_item, popularity = interactions.T.tocsr(), np.asarray(interactions.sum(axis=0))[0]
    k = min(p.neighbours, items)
    neighbours = np.zeros((items + 1, k), dtype=np.int64)
    similarities = np.zeros((items + 1, k), dtype=np.float32)
    for start in range(0, items + 1, BLOCK):
        shared = (by_item[start : start + BLOCK] @ interactions).tocoo()
        item, other = shared.row + start, shared.col
        sim = shared.data / (np.sqrt(popularity[item] * popularity[other]) + p.shrink)
        sim[item == other] = 0.0
        order = np.lexsort((other, -sim, item))
        item, other, sim = item[order], other[order], sim[order]
        rank = np.arange(len(item)) - np.searchsorted(item, item)
        best = (rank < k) & (sim > 0)
        neighbours[item[best], rank[best]], similarities[item[best], rank[best]] = other[best], sim[best]
    return ItemKNN(torch.from_numpy(neighbours), torch.from_numpy(similarities))
