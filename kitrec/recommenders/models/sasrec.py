"""SASRec: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.

    x_t   = sqrt(d) E[item_t] + P[place_t]                               (eq. 1; places count from the newest item)
    x     = x + Dropout(Attention(LayerNorm(x))),  each item sees itself and what came before            (eqs. 2-3)
    x     = x + Dropout(FFN(LayerNorm(x))),  FFN(x) = ReLU(x W1 + b1) W2 + b2, width d                   (eqs. 4-6)
    r_i   = LayerNorm(x_t) · E[i]                                        (eq. 7, shared item embedding)
Loss as published: binary cross-entropy with one negative per place (eq. 8); others in losses.py, of which the shipped
params take full cross-entropy.

Deviations: sqrt(d) and a last LayerNorm before the scores stand in the authors' code, not in the paper (without
sqrt(d) the binary loss learns far slower: docs/log.md); weights start at N(0, 0.02); AdamW has torch's betas, the
authors' Adam a beta2 of .98. The paper's size (d 50, one head) is the profile idrec=sasrec_paper.
Shapes: T packed items, d hidden, N items."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import Packed
from kitrec.recommenders.models.attention import Attention
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import SASRec as Params


class SASRec(Recommender):
    def __init__(self, items: int, p: Params) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, p.hidden, padding_idx=0)
        self.places = nn.Embedding(p.length, p.hidden)
        self.blocks = nn.ModuleList(_Block(p) for _ in range(p.layers))
        self.norm = nn.LayerNorm(p.hidden, eps=1e-8)
        self.dropout = nn.Dropout(p.dropout)
        self.length, self.scale = p.length, p.hidden**0.5
        self.apply(_start)

    def forward(self, batch: Packed) -> torch.Tensor:
        """[T, d]: what each item's place knows of itself and the items before it."""
        x = self._placed(batch)
        for block in self.blocks:
            x = block(x, batch)
        return self.norm(x)

    def represent(self, batch: Packed) -> torch.Tensor:
        """[B, d]: the state after each user's last item, all that the last block is asked for."""
        x = self._placed(batch)
        for block in self.blocks[:-1]:
            x = block(x, batch)
        return self.norm(cast(_Block, self.blocks[-1]).newest(x, batch))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Vectors of items 1 ... N, and no bias."""
        return self.items.weight[1:], None

    def _placed(self, batch: Packed) -> torch.Tensor:
        return self.dropout(self.items(batch.items) * self.scale + self.places(batch.from_end))


class _Block(nn.Module):
    def __init__(self, p: Params) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(p.hidden, eps=1e-8) for _ in range(2))
        self.attention = Attention(p.hidden, p.heads, p.dropout, causal=True)
        self.inner, self.outer = nn.Linear(p.hidden, p.hidden), nn.Linear(p.hidden, p.hidden)
        self.dropout = nn.Dropout(p.dropout)

    def forward(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        return self._fed(x + self.dropout(self.attention(self.norms[0](x), batch)))

    def newest(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        """[B, d]: `forward` at each user's last item."""
        return self._fed(batch.newest(x) + self.dropout(self.attention.newest(self.norms[0](x), batch)))

    def _fed(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.dropout(F.relu(self.inner(self.norms[1](x))))
        return x + self.dropout(self.outer(inner))


def _start(module: nn.Module) -> None:
    """N(0, 0.02) for every matrix; padding and biases are zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
