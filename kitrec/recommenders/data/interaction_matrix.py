"""Readers by items as sparse matrices: what models without gradients are made of."""

import numpy as np
from scipy import sparse

from kitrec.recommenders.data.sequences import Sequences


def matrix(histories: Sequences, items: int) -> sparse.csr_matrix:
    """[readers, N + 1], 1 where a reader had an item (however often)."""
    ones = np.ones(len(histories.items), dtype=np.float32)
    own = sparse.csr_matrix((ones, (histories.users, histories.items)), shape=(len(histories), items + 1))
    own.data[:] = 1.0
    return own
