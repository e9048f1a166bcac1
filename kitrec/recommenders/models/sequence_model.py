"""What the training loop and the ranking ask of every model over item numbers.

Shapes: B users, d the width of the output vectors, N items."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.data.sequences import Sequences


class Recommender(nn.Module, ABC):
    """score of item i = represent(history) · W_i + b_i"""

    max_length: int  # how many items of a history it reads

    def shown(self, histories: Sequences) -> Sequences:
        """Histories as `represent` wants them: their newest items."""
        return histories.newest(self.max_length)

    @abstractmethod
    def represent(self, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: the state after each user's last item; every user has one."""

    @abstractmethod
    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """W [N, d] and b [N] (or no bias) of items 1 ... N."""
