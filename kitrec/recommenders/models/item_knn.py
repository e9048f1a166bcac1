"""Item-kNN across domains (Deshpande and Karypis: Item-Based Top-N Recommendation Algorithms, TOIS 2004).

    sim(i, j) = |U_i & U_j| / (sqrt(|U_i| |U_j|) + shrink)         U_i the training readers with item i, of any domain
    r_uj = sum of sim(i, j) over the reader's items i among the k nearest of j
Similarities of a film to books are as good as any: the reader's books speak for films that readers of these books saw.
Kept are only the k nearest of each item, found in blocks of items, so the whole matrix is never there."""

import numpy as np
import torch
from scipy import sparse

from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.interaction_matrix import matrix
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Ranker

BLOCK, CHUNK = 1024, 512


class ItemKNN(Ranker):
    """neighbours [N + 1, k] item numbers (0: none), similarities [N + 1, k]"""

    def __init__(self, neighbours: torch.Tensor, similarities: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("neighbours", neighbours)
        self.register_buffer("similarities", similarities)

    def candidate_scores(self, readers: Readers, candidates: np.ndarray) -> np.ndarray:
        near, similar = self.get_buffer("neighbours").numpy(), self.get_buffer("similarities").numpy()
        items = len(near) - 1
        owned = np.repeat(np.arange(len(near)), near.shape[1])
        nearest = sparse.csr_matrix((similar.ravel(), (near.ravel(), owned)), shape=(items + 1, items + 1))
        read = matrix(readers.histories, items)
        found = np.empty(candidates.shape, dtype=np.float32)
        for start in range(0, len(readers), CHUNK):
            part = slice(start, start + CHUNK)
            scores = (read[part] @ nearest).toarray()
            found[part] = np.take_along_axis(scores, candidates[part], axis=1)
        return found


def count(histories: Sequences, items: int, p: params.ItemKNN) -> ItemKNN:
    """From training histories."""
    read = matrix(histories, items).astype(np.float64)
    by_item, popularity = read.T.tocsr(), np.asarray(read.sum(axis=0))[0]
    kept = min(p.neighbours, items)
    neighbours = np.zeros((items + 1, kept), dtype=np.int64)
    similarities = np.zeros((items + 1, kept), dtype=np.float32)
    for start in range(0, items + 1, BLOCK):
        shared = (by_item[start : start + BLOCK] @ read).tocoo()
        own, other = shared.row + start, shared.col
        sim = shared.data / (np.sqrt(popularity[own] * popularity[other]) + p.shrink)
        sim[own == other] = 0.0
        order = np.lexsort((other, -sim, own))
        own, other, sim = own[order], other[order], sim[order]
        place = np.arange(len(own)) - np.searchsorted(own, own)
        best = (place < kept) & (sim > 0)
        neighbours[own[best], place[best]], similarities[own[best], place[best]] = other[best], sim[best]
    return ItemKNN(torch.from_numpy(neighbours), torch.from_numpy(similarities))
