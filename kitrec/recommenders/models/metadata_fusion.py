"""Item metadata fused into the item embedding.

    genre, writer   mean of the embeddings of the item's genres or writers (many per item; none: zero vector)
    director        the same, with one per item
    title           a fixed vector of the title, projected to width d
    add             e = item + sum_f feature_f
    concat          e = W [item; feature_1; ...] + b
    gate            w = softmax(G [item; feature_1; ...] + c),  e = w_0 item + sum_f w_f feature_f
Dropout is applied to the features, never to the item. Shapes: T positions, d hidden, F features, N items."""

import numpy as np
import torch
from torch import nn

from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.params import Metadata


class Fusion(nn.Module):
    titles: torch.Tensor

    def __init__(self, hidden_size: int, features: ItemFeatures, p: Metadata, mask: int) -> None:
        super().__init__()
        self.mask = mask
        self.names = ["item", *(name for name in p.features if name in features.names)]
        self.kind = p.fusion
        self.bags = nn.ModuleDict()
        for name in self.names[1:]:
            if name == "title":
                assert features.titles is not None
                self.register_buffer("titles", torch.from_numpy(features.titles).float(), persistent=False)
                self.project = nn.Linear(features.titles.shape[1], hidden_size)
            else:
                self.bags[name] = nn.EmbeddingBag(features.counts[name], hidden_size, mode="mean")
                self._register_values(name, features.values[name])
        self.dropout = nn.Dropout(p.dropout)
        width = hidden_size * len(self.names)
        if self.kind != "add" and len(self.names) > 1:
            self.mix = nn.Linear(width, hidden_size if self.kind == "concat" else len(self.names))
        self._gate_sum, self._positions = torch.zeros(len(self.names), dtype=torch.float64), 0

    def forward(self, embeddings: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """[T, d] item embeddings and item numbers [T] -> [T, d] fused."""
        if len(self.names) == 1:
            return embeddings
        parts = [embeddings, *(self.dropout(self._feature(name, items)) for name in self.names[1:])]
        match self.kind:
            case "add":
                return torch.stack(parts).sum(0)
            case "concat":
                return self.mix(torch.cat(parts, dim=1))
            case _:
                gates = self.mix(torch.cat(parts, dim=1)).softmax(1)
                if not self.training:
                    real = gates.detach()[items != self.mask]
                    self._gate_sum += real.double().sum(0).cpu()
                    self._positions += len(real)
                return torch.einsum("tf,ftd->td", gates, torch.stack(parts))

    def mean_gates(self) -> dict[str, float]:
        """Return the mean gate of each part over the items (not masks) evaluated since the last call, and reset it."""
        sums = dict(zip(self.names, self._gate_sum.tolist(), strict=True)) if self._positions else {}
        means = {name: total / self._positions for name, total in sums.items()}
        self._gate_sum.zero_()
        self._positions = 0
        return means

    def _feature(self, name: str, items: torch.Tensor) -> torch.Tensor:
        if name == "title":
            return self.project(self.titles[items])
        distinct, position = items.unique(return_inverse=True)  # of the batch: no pass over all items
        values, starts = getattr(self, f"{name}_values"), getattr(self, f"{name}_starts")
        lengths = starts[distinct + 1] - starts[distinct]
        offsets = lengths.cumsum(0) - lengths
        within = torch.arange(int(lengths.sum()), device=items.device) - offsets.repeat_interleave(lengths)
        of_batch = values[starts[distinct].repeat_interleave(lengths) + within]
        return self.bags[name](of_batch, offsets)[position]

    def _register_values(self, name: str, lists: Sequences) -> None:
        self.register_buffer(f"{name}_values", torch.from_numpy(lists.items.astype(np.int64)), persistent=False)
        self.register_buffer(f"{name}_starts", torch.from_numpy(lists.starts.astype(np.int64)), persistent=False)
