"""EASE^R (Steck: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019) over both domains, in low rank.

    G = X'X + lambda I,  P = G^-1,  B_ij = -P_ij / P_jj for i != j, B_jj = 0,  r_u = x_u B         (eqs. 6 to 8)
    X = U S V' of rank r gives  P = (I - V D V') / lambda,  D = S^2 / (S^2 + lambda)
    so                          r_uj = (sum over i in u, i != j, of V_i) D V_j' / (lambda P_jj)
Items of both domains are columns of one X; no N x N matrix is ever built. With r = rank(X) this is EASE^R itself;
with a lower r it is EASE^R of the closest X of rank r. Shapes: N items, r rank."""

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import Sequences, interaction_matrix
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Ranker

CHUNK = 512


class EASE(Ranker):
    """encoder [N + 1, r] = V and decoder [N + 1, r] = V D / (lambda P_jj): B = encoder @ decoder.T off the diagonal"""

    def __init__(self, encoder: torch.Tensor, decoder: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("encoder", encoder)
        self.register_buffer("decoder", decoder)

    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        encoder, decoder = self.get_buffer("encoder").numpy(), self.get_buffer("decoder").numpy()
        interactions = interaction_matrix(users.histories, len(encoder) - 1)
        scores = np.empty(candidates.shape, dtype=np.float32)
        for start in range(0, len(users), CHUNK):
            part = slice(start, start + CHUNK)
            decoded = decoder[candidates[part]]
            with_diagonal = np.einsum("ud,ucd->uc", interactions[part] @ encoder, decoded)
            diagonal = np.einsum("ucd,ucd->uc", encoder[candidates[part]], decoded)
            has_item = np.take_along_axis(interactions[part].toarray(), candidates[part], axis=1)
            scores[part] = with_diagonal - has_item * diagonal
        return scores


def fit(histories: Sequences, items: int, p: params.EASE, seed: int) -> EASE:
    """Compute the weights from training histories; `seed` is that of the randomized SVD."""
    interactions = interaction_matrix(histories, items).astype(np.float64)
    values, vectors = _svd(interactions, p.rank, seed)
    damping = values**2 / (values**2 + p.penalty)
    diagonal = (1 - (vectors**2 @ damping)) / p.penalty
    decoder = vectors * damping / (p.penalty * diagonal[:, None])
    return EASE(torch.from_numpy(vectors.astype(np.float32)), torch.from_numpy(decoder.astype(np.float32)))


def _svd(interactions: sparse.csr_matrix, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return S [r] and V [N + 1, r]; exact if the matrix is no larger than the rank."""
    if min(interactions.shape) <= rank:
        _, values, right = np.linalg.svd(interactions.toarray(), full_matrices=False)
    else:
        _, values, right = randomized_svd(interactions, rank, n_iter=8, random_state=seed)
    return values, right.T
