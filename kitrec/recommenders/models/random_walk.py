"""Random walks on the user-item graph (Cooper, Lee, Radinsky and Siamantov: Random Walks in Recommender Systems, WWW
Companion 2014: P3alpha).

    P_ui = (x_ui / d_u)^alpha,  P_iu = (x_ui / d_i)^alpha         x_ui 1 where training user u had item i, d degrees
    r_v  = p_v (P_iu P_ui)^hops                                   p_v the row of the user to score, built like P_ui
One hop leads from the user's items to users who share one and on to all their items; items of both domains are nodes
alike, so books lead to films. Deviation: the paper walks one hop; for users with few items two hops reach items that
no user who shares an item has had. Shapes: U training users, N items."""

from functools import cached_property

import numpy as np
import torch
from scipy import sparse

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import Sequences, interaction_matrix
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Ranker

CHUNK = 512


class RandomWalk(Ranker):
    """starts [U + 1] and items [nnz]: the training users' rows one after the other; walk: alpha, hops and N + 1"""

    def __init__(self, starts: torch.Tensor, items: torch.Tensor, walk: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("starts", starts)
        self.register_buffer("items", items)
        self.register_buffer("walk", walk)

    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        scores = np.empty(candidates.shape, dtype=np.float32)
        for start in range(0, len(users), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(users)))
            all_scores = self.scores(users.histories.take(part))
            scores[part] = np.take_along_axis(all_scores, candidates[part], axis=1)
        return scores

    def scores(self, histories: Sequences) -> np.ndarray:
        """[users, N + 1] for a few users at a time."""
        user_to_item, item_to_user = self._transitions
        reached = _transition(interaction_matrix(histories, user_to_item.shape[1] - 1).astype(np.float64), self._alpha)
        for _ in range(int(self.get_buffer("walk")[1])):
            reached = (reached @ item_to_user) @ user_to_item
        scores: np.ndarray = reached.toarray()
        return scores

    @property
    def _alpha(self) -> float:
        return float(self.get_buffer("walk")[0])

    @cached_property
    def _transitions(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """P_ui and P_iu."""
        starts, items = self.get_buffer("starts").numpy(), self.get_buffer("items").numpy()
        shape = (len(starts) - 1, int(self.get_buffer("walk")[2]))
        interactions = sparse.csr_matrix((np.ones(len(items)), items, starts), shape=shape)
        return _transition(interactions, self._alpha), _transition(interactions.T.tocsr(), self._alpha)


def fit(histories: Sequences, items: int, p: params.RandomWalk) -> RandomWalk:
    """Store the graph of the training histories."""
    interactions = interaction_matrix(histories, items)
    interactions.sort_indices()
    walk = torch.tensor([p.alpha, p.hops, items + 1], dtype=torch.float64)
    starts, columns = interactions.indptr.astype(np.int64), interactions.indices
    return RandomWalk(torch.from_numpy(starts), torch.from_numpy(columns), walk)


def _transition(interactions: sparse.csr_matrix, alpha: float) -> sparse.csr_matrix:
    """Return (x / its row's sum)^alpha of a binary matrix."""
    return sparse.diags(np.maximum(np.diff(interactions.indptr), 1.0) ** -alpha) @ interactions
