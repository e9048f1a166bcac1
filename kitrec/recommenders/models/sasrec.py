"""SASRec: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

    x_t   = sqrt(d) E[item_t] + P[place_t]                               (eq. 1; positions count from the newest item)
    x     = x + Dropout(Attention(LayerNorm(x))),  causal: each item attends to itself and earlier ones  (eqs. 2-3)
    x     = x + Dropout(FFN(LayerNorm(x))),  FFN(x) = ReLU(x W1 + b1) W2 + b2, width d                   (eqs. 4-6)
    r_i   = LayerNorm(x_t) · E[i]                                        (eq. 7, shared item embedding)
Loss as published: binary cross-entropy with one negative per position (eq. 8); others in losses.py (the shipped params
use full cross-entropy).

Deviations: sqrt(d) and a last LayerNorm before the scores are in the authors' code, not in the paper (without
sqrt(d) the binary loss converges far more slowly: docs/log.md); weights start at N(0, 0.02); AdamW has torch's betas,
the authors' Adam a beta2 of .98. The paper's size (d 50, one head) is the profile idrec=sasrec_paper.
Shapes: T packed items, d hidden, N items."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.models.attention import Attention
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.params import SASRec as Params


class SASRec(Recommender):
    def __init__(self, items: int, p: Params) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, p.hidden_size, padding_idx=0)
        self.places = nn.Embedding(p.max_length, p.hidden_size)
        self.blocks = nn.ModuleList(_Block(p) for _ in range(p.layers))
        self.norm = nn.LayerNorm(p.hidden_size, eps=1e-8)
        self.dropout = nn.Dropout(p.dropout)
        self.max_length, self.scale = p.max_length, p.hidden_size**0.5
        self.apply(_initialize)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """[T, d]: the state after each item."""
        x = self._embed(batch)
        for block in self.blocks:
            x = block(x, batch)
        return self.norm(x)

    def represent(self, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: the state after each user's last item; the last block computes this position only."""
        x = self._embed(batch)
        for block in self.blocks[:-1]:
            x = block(x, batch)
        return self.norm(cast(_Block, self.blocks[-1]).newest(x, batch))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the vectors of items 1 ... N, and no bias."""
        return self.items.weight[1:], None

    def _embed(self, batch: PackedBatch) -> torch.Tensor:
        return self.dropout(self.items(batch.items) * self.scale + self.places(batch.from_end))


class _Block(nn.Module):
    def __init__(self, p: Params) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(p.hidden_size, eps=1e-8) for _ in range(2))
        self.attention = Attention(p.hidden_size, p.heads, p.dropout, causal=True)
        self.inner, self.outer = nn.Linear(p.hidden_size, p.hidden_size), nn.Linear(p.hidden_size, p.hidden_size)
        self.dropout = nn.Dropout(p.dropout)

    def forward(self, x: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
        return self._feed_forward(x + self.dropout(self.attention(self.norms[0](x), batch)))

    def newest(self, x: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: `forward` at each user's last item."""
        return self._feed_forward(batch.newest(x) + self.dropout(self.attention.newest(self.norms[0](x), batch)))

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.dropout(F.relu(self.inner(self.norms[1](x))))
        return x + self.dropout(self.outer(inner))


def _initialize(module: nn.Module) -> None:
    """Draw every matrix from N(0, 0.02); padding and biases are zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
