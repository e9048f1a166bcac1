"""EASE^R (Steck: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019) over both domains, by low rank.

    G = X'X + lambda I,  P = G^-1,  B_ij = -P_ij / P_jj for i != j, B_jj = 0,  r_u = x_u B         (eqs. 6 to 8)
    X = U S V' of rank r gives  P = (I - V D V') / lambda,  D = S^2 / (S^2 + lambda)
    so                          r_uj = (sum over i in u, i != j, of V_i) D V_j' / (lambda P_jj)
Items of both domains are columns of one X; nothing of size N x N is ever made. With r = rank(X) this is EASE^R itself;
with fewer it is EASE^R of the closest X of rank r. Shapes: N items, r rank."""

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.interaction_matrix import matrix
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Ranker

CHUNK = 512


class EASE(Ranker):
    """read [N + 1, r] = V and written [N + 1, r] = V D / (lambda P_jj): B = read @ written.T off the diagonal"""

    def __init__(self, read: torch.Tensor, written: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("read", read)
        self.register_buffer("written", written)

    def candidate_scores(self, readers: Readers, candidates: np.ndarray) -> np.ndarray:
        read, written = self.get_buffer("read").numpy(), self.get_buffer("written").numpy()
        own = matrix(readers.histories, len(read) - 1)
        found = np.empty(candidates.shape, dtype=np.float32)
        for start in range(0, len(readers), CHUNK):
            part = slice(start, start + CHUNK)
            listed = written[candidates[part]]
            whole = np.einsum("ud,ucd->uc", own[part] @ read, listed)
            itself = np.einsum("ucd,ucd->uc", read[candidates[part]], listed)
            known = np.take_along_axis(own[part].toarray(), candidates[part], axis=1)
            found[part] = whole - known * itself
        return found


def count(histories: Sequences, items: int, p: params.EASE, seed: int) -> EASE:
    """From training histories; `seed` starts the search for the leading directions."""
    own = matrix(histories, items).astype(np.float64)
    values, vectors = _leading(own, p.rank, seed)
    damping = values**2 / (values**2 + p.penalty)
    diagonal = (1 - (vectors**2 @ damping)) / p.penalty
    written = vectors * damping / (p.penalty * diagonal[:, None])
    return EASE(torch.from_numpy(vectors.astype(np.float32)), torch.from_numpy(written.astype(np.float32)))


def _leading(own: sparse.csr_matrix, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """S [r] and V [N + 1, r]; exact where the matrix is no larger than the rank."""
    if min(own.shape) <= rank:
        _, values, right = np.linalg.svd(own.toarray(), full_matrices=False)
    else:
        _, values, right = randomized_svd(own, rank, n_iter=8, random_state=seed)
    return values, right.T
