"""Random walks over readers and items (Cooper, Lee, Radinsky and Siamantov: Random Walks in Recommender Systems, WWW
Companion 2014: P3alpha).

    P_ui = (x_ui / d_u)^alpha,  P_iu = (x_ui / d_i)^alpha         x_ui 1 where training reader u had item i, d degrees
    r_v  = p_v (P_iu P_ui)^hops                                   p_v the asked reader's own row, made as a P_ui
One hop goes from the reader's items to readers who share one and on to all of theirs; items of both domains are nodes
alike, so books lead to films. Deviation: the paper walks one hop; where readers have few items two reach those that
nobody who shares one had. Shapes: U training readers, N items."""

from functools import cached_property

import numpy as np
import torch
from scipy import sparse

from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.interaction_matrix import matrix
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Ranker

CHUNK = 512


class RandomWalk(Ranker):
    """starts [U + 1] and items [nnz]: the training readers' rows one after the other; alpha, hops and N as numbers"""

    def __init__(self, starts: torch.Tensor, items: torch.Tensor, walk: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("starts", starts)
        self.register_buffer("items", items)
        self.register_buffer("walk", walk)

    def candidate_scores(self, readers: Readers, candidates: np.ndarray) -> np.ndarray:
        found = np.empty(candidates.shape, dtype=np.float32)
        for start in range(0, len(readers), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(readers)))
            scores = self.scores(readers.histories.take(part))
            found[part] = np.take_along_axis(scores, candidates[part], axis=1)
        return found

    def scores(self, histories: Sequences) -> np.ndarray:
        """[readers, N + 1] of few readers at a time."""
        onwards, back = self._steps
        reached = _stepped(matrix(histories, onwards.shape[1] - 1).astype(np.float64), self._alpha)
        for _ in range(int(self.get_buffer("walk")[1])):
            reached = (reached @ back) @ onwards
        found: np.ndarray = reached.toarray()
        return found

    @property
    def _alpha(self) -> float:
        return float(self.get_buffer("walk")[0])

    @cached_property
    def _steps(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """P_ui and P_iu."""
        starts, items = self.get_buffer("starts").numpy(), self.get_buffer("items").numpy()
        shape = (len(starts) - 1, int(self.get_buffer("walk")[2]))
        read = sparse.csr_matrix((np.ones(len(items)), items, starts), shape=shape)
        return _stepped(read, self._alpha), _stepped(read.T.tocsr(), self._alpha)


def count(histories: Sequences, items: int, p: params.RandomWalk) -> RandomWalk:
    """From training histories."""
    read = matrix(histories, items)
    read.sort_indices()
    walk = torch.tensor([p.alpha, p.hops, items + 1], dtype=torch.float64)
    return RandomWalk(torch.from_numpy(read.indptr.astype(np.int64)), torch.from_numpy(read.indices), walk)


def _stepped(read: sparse.csr_matrix, alpha: float) -> sparse.csr_matrix:
    """(x / its row's sum)^alpha, for rows of ones."""
    return sparse.diags(np.maximum(np.diff(read.indptr), 1.0) ** -alpha) @ read
