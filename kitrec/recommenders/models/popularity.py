"""Popularity: items by their number of training users, the same list for every user.

    r_uj = number of training users with j
Among candidates of one domain the counts of that domain and of all domains give the same order."""

import numpy as np
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import Sequences, interaction_matrix
from kitrec.recommenders.models.interface import Ranker


class Popularity(Ranker):
    def __init__(self, counts: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("counts", counts)

    def candidate_scores(self, _users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        counts: np.ndarray = self.get_buffer("counts").numpy()
        return counts[candidates]


def fit(histories: Sequences, items: int) -> Popularity:
    """Count the training users of every item."""
    counts = np.asarray(interaction_matrix(histories, items).sum(axis=0), dtype=np.float32)[0]
    return Popularity(torch.from_numpy(counts))
