"""What an item is besides its number, fused into its embedding.

    genre, writer   mean of the embeddings of the item's genres or writers (many per item; none: zero vector)
    director        the same with one per item
    title           a fixed vector of the title, projected to width d
    add             e = item + sum_f feature_f
    concat          e = W [item; feature_1; ...] + b
    gate            w = softmax(G [item; feature_1; ...] + c),  e = w_0 item + sum_f w_f feature_f
Dropout falls on the features, never on the item. Shapes: T places, d hidden, F features, N items."""

import numpy as np
import torch
from torch import nn

from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.params import Metadata


class Fusion(nn.Module):
    titles: torch.Tensor

    def __init__(self, hidden: int, known: Known, p: Metadata, mask: int) -> None:
        super().__init__()
        self.mask = mask
        self.names = ["item", *(name for name in p.features if name in known.features)]
        self.kind = p.fusion
        self.bags = nn.ModuleDict()
        for name in self.names[1:]:
            if name == "title":
                assert known.titles is not None
                self.register_buffer("titles", torch.from_numpy(known.titles).float(), persistent=False)
                self.project = nn.Linear(known.titles.shape[1], hidden)
            else:
                self.bags[name] = nn.EmbeddingBag(known.counts[name], hidden, mode="mean")
                self._remember(name, known.values[name])
        self.dropout = nn.Dropout(p.dropout)
        width = hidden * len(self.names)
        if self.kind != "add" and len(self.names) > 1:
            self.mix = nn.Linear(width, hidden if self.kind == "concat" else len(self.names))
        self._gates, self._weighed = torch.zeros(len(self.names), dtype=torch.float64), 0  # sum and number of places

    def forward(self, own: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """[T, d] embeddings of the places and their item numbers [T] -> [T, d] fused."""
        if len(self.names) == 1:
            return own
        parts = [own, *(self.dropout(self._feature(name, items)) for name in self.names[1:])]
        match self.kind:
            case "add":
                return torch.stack(parts).sum(0)
            case "concat":
                return self.mix(torch.cat(parts, dim=1))
            case _:
                gates = self.mix(torch.cat(parts, dim=1)).softmax(1)
                if not self.training:
                    real = gates.detach()[items != self.mask]
                    self._gates += real.double().sum(0).cpu()
                    self._weighed += len(real)
                return torch.einsum("tf,ftd->td", gates, torch.stack(parts))

    def mean_gates(self) -> dict[str, float]:
        """How much each part of an item (a mask is none) weighed on average since this was last asked."""
        weights = dict(zip(self.names, self._gates.tolist(), strict=True)) if self._weighed else {}
        means = {name: weight / self._weighed for name, weight in weights.items()}
        self._gates.zero_()
        self._weighed = 0
        return means

    def _feature(self, name: str, items: torch.Tensor) -> torch.Tensor:
        if name == "title":
            return self.project(self.titles[items])
        values, starts = getattr(self, f"{name}_values"), getattr(self, f"{name}_starts")
        return self.bags[name](values, starts)[items]

    def _remember(self, name: str, lists: Sequences) -> None:
        self.register_buffer(f"{name}_values", torch.from_numpy(lists.items.astype(np.int64)), persistent=False)
        self.register_buffer(f"{name}_starts", torch.from_numpy(lists.starts[:-1].astype(np.int64)), persistent=False)
