"""A sequence model as one function on padded batches: item numbers [B, L] -> scores of all items [B, N].

Training packs users of similar length (recommenders/data/packed_batches.py), by control flow that cannot be exported.
Here a batch is one matrix, oldest item first, zeros on the right. The layers are the model's own: causal layers never
reach the padding, and BERT4Rec gets a padding mask. BERT4Rec's mask token is appended to each history here, so that all
models have the same input.
Shapes: B users, L items (any number up to the model's maximum length), d hidden, N items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.caser import Caser
from kitrec.recommenders.models.interface import Recommender


@dataclass(frozen=True)
class _PaddingMask:
    real: torch.Tensor  # [B, L] true where a row holds an item


@dataclass(frozen=True)
class _PaddedBatch:
    """The interface of a packed batch on a padded one."""

    items: torch.Tensor  # [B L], one row after the other: flat layers are one matrix product with its bias
    lengths: torch.Tensor  # [B, 1]
    from_end: torch.Tensor  # [B L] how many items come after each; 0 in the padding
    part: _PaddingMask

    def through_rows(
        self, values: torch.Tensor, layer: Callable[[torch.Tensor, _PaddingMask], torch.Tensor]
    ) -> torch.Tensor:
        return layer(self._rows(values), self.part).flatten(0, 1)

    def beside_rows(
        self,
        packed: torch.Tensor,
        values: torch.Tensor,
        layer: Callable[[torch.Tensor, torch.Tensor, _PaddingMask], torch.Tensor],
    ) -> torch.Tensor:
        return layer(packed, self._rows(values), self.part)

    def newest(self, values: torch.Tensor) -> torch.Tensor:
        """Return the state of each row's last item: [B L, d] -> [B, d]."""
        users, longest = self.part.real.shape
        first = torch.arange(users, device=values.device) * longest
        return values[first + (self.lengths[:, 0] - 1).clamp_min(0)]

    def _rows(self, values: torch.Tensor) -> torch.Tensor:
        return values.view(*self.part.real.shape, -1)


class PaddedModel(nn.Module):
    """A trained model on padded batches."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        if isinstance(model, BERT4Rec) and len(model.fusion.names) > 1:
            raise InputError(
                "a BERT4Rec with metadata features cannot be exported: train it with metadata.features: []"
            )
        self.model = model.eval()
        self.max_length = model.max_length - 1 if isinstance(model, BERT4Rec) else model.max_length

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        """Return scores [B, N] for users with at least one item; the columns are items 1 ... N."""
        weight, bias = self.model.output()
        scores = self.states(items) @ weight.T
        return scores if bias is None else scores + bias

    def states(self, items: torch.Tensor) -> torch.Tensor:
        """Return the states [B, d] of users with at least one item."""
        lengths = (items > 0).sum(1, keepdim=True)
        if isinstance(self.model, Caser):
            return self.model(_windows(items, lengths, self.model.max_length))
        if isinstance(self.model, BERT4Rec):
            wider = torch.cat([items, torch.zeros_like(items[:, :1])], dim=1)
            positions = torch.arange(wider.shape[1], device=items.device)
            shown = torch.where(positions == lengths, self.model.mask_item, wider)
            return self.model.represent(_padded_batch(shown, lengths + 1))
        return self.model.represent(_padded_batch(items, lengths))


class ServedModel(nn.Module):
    """A padded model whose states and item vectors can be read too, for a search without a table of all scores."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        self.padded = PaddedModel(model)

    def forward(self, items: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return scores [B, N], states [B, d], weight [N, d] and, where the model has one, bias [N]."""
        weight, bias = self.padded.model.output()
        states = self.padded.states(items)
        scores = states @ weight.T
        return (scores, states, weight) if bias is None else (scores + bias, states, weight, bias)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return ["scores", "states", "weight", "bias"][: 3 + (self.padded.model.output()[1] is not None)]


def _padded_batch(items: torch.Tensor, lengths: torch.Tensor) -> PackedBatch:
    positions = torch.arange(items.shape[1], device=items.device)
    from_end = (lengths - 1 - positions).clamp_min(0)
    return cast(
        PackedBatch, _PaddedBatch(items.flatten(), lengths, from_end.flatten(), _PaddingMask(positions < lengths))
    )


def _windows(items: torch.Tensor, lengths: torch.Tensor, length: int) -> torch.Tensor:
    """Return the newest items [B, length] at the right, zeros before them."""
    indices = lengths - torch.arange(length, 0, -1, device=items.device)
    return torch.where(indices >= 0, items.gather(1, indices.clamp_min(0)), 0)
