"""How often training saw an item: the same list for every reader.

    r_uj = number of training readers with j
Among candidates of one domain the counts of that domain and of all domains give the same order."""

import numpy as np
import torch

from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.interaction_matrix import matrix
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.cross_domain_model import Ranker


class Popularity(Ranker):
    def __init__(self, counts: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("counts", counts)

    def candidate_scores(self, _readers: Readers, candidates: np.ndarray) -> np.ndarray:
        counts: np.ndarray = self.get_buffer("counts").numpy()
        return counts[candidates]


def count(histories: Sequences, items: int) -> Popularity:
    """From training histories."""
    return Popularity(torch.from_numpy(np.asarray(matrix(histories, items).sum(axis=0), dtype=np.float32)[0]))
