"""The interface of sequence models, as training and ranking use it.

Shapes: B users, d the width of the output vectors, N items."""

from abc import ABC, abstractmethod

import torch
from torch import nn

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
