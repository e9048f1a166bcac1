"""A model over item numbers as one plain function: item numbers [B, L] -> scores of all items [B, N].

Training packs users of similar length (idrec/packed.py), by control flow that no exported graph can hold. Here a batch
is one table, oldest item first, zeros on the right. The layers are the model's own: on a table they see rows where they
saw packed items, causal layers never reach the padding, and BERT4Rec is told what is real. BERT4Rec's mask is put
behind each history inside, so every model is asked the same way.
Shapes: B users, L items (any number up to the model's length), d hidden, N items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.caser import Caser
from kitrec.recommenders.models.sequence_model import Recommender


@dataclass(frozen=True)
class _Real:
    real: torch.Tensor  # [B, L] true where a row holds an item


@dataclass(frozen=True)
class _Grid:
    """What the models ask of a packed batch, answered for a table."""

    items: torch.Tensor  # [B L], one row after the other: flat layers are one matrix product with its bias
    lengths: torch.Tensor  # [B, 1]
    from_end: torch.Tensor  # [B L] how many items come after each; 0 in the padding
    part: _Real

    def through_rows(self, values: torch.Tensor, layer: Callable[[torch.Tensor, _Real], torch.Tensor]) -> torch.Tensor:
        return layer(self._rows(values), self.part).flatten(0, 1)

    def beside_rows(
        self,
        own: torch.Tensor,
        values: torch.Tensor,
        layer: Callable[[torch.Tensor, torch.Tensor, _Real], torch.Tensor],
    ) -> torch.Tensor:
        return layer(own, self._rows(values), self.part)

    def newest(self, values: torch.Tensor) -> torch.Tensor:
        """[B L, d] -> [B, d] of each row's last item."""
        users, longest = self.part.real.shape
        first = torch.arange(users, device=values.device) * longest
        return values[first + (self.lengths[:, 0] - 1).clamp_min(0)]

    def _rows(self, values: torch.Tensor) -> torch.Tensor:
        return values.view(*self.part.real.shape, -1)


class Padded(nn.Module):
    def __init__(self, model: Recommender) -> None:
        super().__init__()
        if isinstance(model, BERT4Rec) and len(model.fusion.names) > 1:
            raise InputError("a BERT4Rec that fuses metadata is not exported: train it with metadata.features: []")
        self.model = model.eval()
        self.reads = model.max_length - 1 if isinstance(model, BERT4Rec) else model.max_length

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """[B, N] for users of at least one item; the columns are items 1 ... N."""
        weight, bias = self.model.output()
        scores = self._states(items) @ weight.T
        return scores if bias is None else scores + bias

    def _states(self, items: torch.Tensor) -> torch.Tensor:
        lengths = (items > 0).sum(1, keepdim=True)
        if isinstance(self.model, Caser):
            return self.model(_windows(items, lengths, self.model.max_length))
        if isinstance(self.model, BERT4Rec):
            wider = torch.cat([items, torch.zeros_like(items[:, :1])], dim=1)
            where = torch.arange(wider.shape[1], device=items.device)
            shown = torch.where(where == lengths, self.model.mask_item, wider)
            return self.model.represent(_grid(shown, lengths + 1))
        return self.model.represent(_grid(items, lengths))


def _grid(items: torch.Tensor, lengths: torch.Tensor) -> PackedBatch:
    where = torch.arange(items.shape[1], device=items.device)
    from_end = (lengths - 1 - where).clamp_min(0)
    return cast(PackedBatch, _Grid(items.flatten(), lengths, from_end.flatten(), _Real(where < lengths)))


def _windows(items: torch.Tensor, lengths: torch.Tensor, length: int) -> torch.Tensor:
    """[B, length] the newest items at the right, zeros before them."""
    back = lengths - torch.arange(length, 0, -1, device=items.device)
    return torch.where(back >= 0, items.gather(1, back.clamp_min(0)), 0)
