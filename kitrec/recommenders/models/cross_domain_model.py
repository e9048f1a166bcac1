"""The interface of models over two domains, as training and ranking use it.

Shapes: B users, C candidates each, n rows of a batch, k negatives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import Asked, Readers, ask
from kitrec.recommenders.data.item_domains import Catalogue


@dataclass(frozen=True)
class Lesson:
    """Rows of a user with one positive and k negatives of each side; positives are hidden from the history shown."""

    asked: Asked
    items: torch.Tensor  # [n, 2, 1 + k] source and target; the positive first; 0 where the user has none
    counted: torch.Tensor  # [n, 2] whether the positive counts in the loss (otherwise it only fills the pair)
    shift: torch.Tensor  # [n] 0 ... k, random rotation of the source's items where sides are paired


class Ranker(nn.Module, ABC):
    """A model that scores candidates of users, by their histories or (paper form) their numbers."""

    @abstractmethod
    def candidate_scores(self, readers: Readers, candidates: np.ndarray) -> np.ndarray:
        """[B, C], higher is better."""


class Learner(Ranker):
    """A model trained by gradients."""

    chunk = 256  # users scored at once

    def __init__(self, catalogue: Catalogue) -> None:
        super().__init__()
        self.catalogue = catalogue
        self.register_buffer("domains", torch.from_numpy(catalogue.domains))

    @abstractmethod
    def loss(self, lesson: Lesson) -> torch.Tensor:
        """The loss over the counted positives of a batch."""

    @abstractmethod
    def scores(self, asked: Asked, candidates: torch.Tensor) -> torch.Tensor:
        """[B, C] scores for a batch of users."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def are_target(self, items: torch.Tensor) -> torch.Tensor:
        """Which items belong to a target domain."""
        domains = self.get_buffer("domains")
        return domains[items] > 1

    def candidate_scores(self, readers: Readers, candidates: np.ndarray) -> np.ndarray:
        """[B, C] scores, in chunks of users to bound memory."""
        scores = np.empty(candidates.shape, dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(readers), self.chunk):
                rows = np.arange(start, min(start + self.chunk, len(readers)))
                asked = ask(readers, self.catalogue.sides, rows, device=self.device)
                listed = torch.from_numpy(candidates[rows]).to(self.device)
                scores[rows] = self.scores(asked, listed).float().cpu().numpy()
        return scores


def counted_mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """The mean of the counted values, zero where none is."""
    return (values * counted).sum() / counted.sum().clamp(min=1)
