"""The interfaces of recommenders, as training and ranking use them: sequence models, and models over two domains.

Shapes: B users, C candidates each, N items, d width of the output vectors, n rows of a batch, k negatives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch, UserHistories, cross_domain_batch
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.data.sequences import Sequences


class Recommender(nn.Module, ABC):
    """score of item i = represent(history) · W_i + b_i"""

    max_length: int  # number of newest items of a history that the model reads

    def shown(self, histories: Sequences) -> Sequences:
        """Cut histories to their newest items, as `represent` takes them."""
        return histories.newest(self.max_length)

    @abstractmethod
    def represent(self, batch: PackedBatch) -> torch.Tensor:
        """Return the states [B, d] after each user's last item; every user has at least one item."""

    @abstractmethod
    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return W [N, d] and b [N] (None without a bias) of items 1 ... N."""


@dataclass(frozen=True)
class PairBatch:
    """Rows of a user with one positive and k negatives of each side; positives are hidden from the history shown."""

    users: CrossDomainBatch
    items: torch.Tensor  # [n, 2, 1 + k] source and target; the positive first; 0 where the user has none
    counted: torch.Tensor  # [n, 2] whether the positive counts in the loss (otherwise it only fills the pair)
    shift: torch.Tensor  # [n] 0 ... k, random rotation of the source's items where sides are paired


class Ranker(nn.Module, ABC):
    """A model that scores candidates of users, by their histories or (paper form) their index."""

    @abstractmethod
    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        """Return scores [B, C], higher is better."""


class Learner(Ranker):
    """A model trained by gradients."""

    chunk = 256  # users scored at once

    def __init__(self, item_domains: ItemDomains) -> None:
        super().__init__()
        self.item_domains = item_domains
        self.register_buffer("domains", torch.from_numpy(item_domains.domains))

    @abstractmethod
    def loss(self, batch: PairBatch) -> torch.Tensor:
        """Return the loss over the counted positives of a batch."""

    @abstractmethod
    def scores(self, batch: CrossDomainBatch, candidates: torch.Tensor) -> torch.Tensor:
        """Return the scores [B, C] of a batch of users."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def are_target(self, items: torch.Tensor) -> torch.Tensor:
        """Return whether each item belongs to a target domain."""
        domains = self.get_buffer("domains")
        return domains[items] > 1

    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        """Return scores [B, C], in chunks of users to bound memory."""
        scores = np.empty(candidates.shape, dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(users), self.chunk):
                rows = np.arange(start, min(start + self.chunk, len(users)))
                batch = cross_domain_batch(users, self.item_domains.sides, rows, device=self.device)
                part = torch.from_numpy(candidates[rows]).to(self.device)
                scores[rows] = self.scores(batch, part).float().cpu().numpy()
        return scores


def counted_mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Return the mean of the counted values, zero if none is counted."""
    return (values * counted).sum() / counted.sum().clamp(min=1)
