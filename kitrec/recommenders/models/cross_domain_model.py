"""What ranking and training ask of a model over two domains.

Shapes: B readers, C candidates each, n rows of a lesson, k negatives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch, UserHistories, cross_domain_batch
from kitrec.recommenders.data.item_domains import ItemDomains


@dataclass(frozen=True)
class PairBatch:
    """Each row: a reader with one positive and k negatives of each side, both left out of what the model is shown."""

    users: CrossDomainBatch
    items: torch.Tensor  # [n, 2, 1 + k] source and target; the positive first; 0 where the reader has none
    counted: torch.Tensor  # [n, 2] whether the positive is learned here (else it only stands beside the other)
    shift: torch.Tensor  # [n] 0 ... k, random: how far the source's items are turned where sides are paired


class Ranker(nn.Module, ABC):
    """Scores candidates of readers; `users` says whether it knows readers by number."""

    @abstractmethod
    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        """[B, C], higher is better."""


class Learner(Ranker):
    """A model that learns by gradients."""

    chunk = 256  # readers scored at once

    def __init__(self, catalogue: ItemDomains) -> None:
        super().__init__()
        self.catalogue = catalogue
        self.register_buffer("domains", torch.from_numpy(catalogue.domains))

    @abstractmethod
    def loss(self, batch: PairBatch) -> torch.Tensor:
        """Of the counted positives of a lesson."""

    @abstractmethod
    def scores(self, batch: CrossDomainBatch, candidates: torch.Tensor) -> torch.Tensor:
        """[B, C] for a batch of readers."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def are_target(self, items: torch.Tensor) -> torch.Tensor:
        """Which items belong to a target."""
        own = self.get_buffer("domains")
        return own[items] > 1

    def candidate_scores(self, users: UserHistories, candidates: np.ndarray) -> np.ndarray:
        """In chunks of readers, so that memory stays small."""
        found = np.empty(candidates.shape, dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(users), self.chunk):
                rows = np.arange(start, min(start + self.chunk, len(users)))
                asked = cross_domain_batch(users, self.catalogue.sides, rows, device=self.device)
                listed = torch.from_numpy(candidates[rows]).to(self.device)
                found[rows] = self.scores(asked, listed).float().cpu().numpy()
        return found


def counted_mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """The mean of the counted values, zero where none is."""
    return (values * counted).sum() / counted.sum().clamp(min=1)
