"""BERT4Rec: Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from
Transformer", CIKM 2019.

    x_t = Dropout(LayerNorm(fuse(E[item_t]) + P[place_t]))                (eq. 6; positions count from the newest item)
    x   = LayerNorm(x + Dropout(Attention(x))),   every item attends to every item            (eqs. 1-3)
    x   = LayerNorm(x + Dropout(FFN(x))),   FFN(x) = GELU(x W1 + b1) W2 + b2, inner width 4d  (eqs. 4-5)
    z_i = GELU(x_t W + b) · E[i] + b_i                                                        (eq. 7)
Training: predict masked positions (masking.py) by cross-entropy over all items (eq. 8). Ranking: a mask is appended to
the history and predicted. `share_embeddings: false` gives the output layer vectors of its own.

Deviations: a LayerNorm after the embedding sum (the authors' code has it, the paper does not); item metadata may be
fused into E[item_t] (metadata_fusion.py); `masking.last` masks the last item of some sequences once more, as ranking
does; the schedule is a param, AdamW decays by `weight_decay` (paper: linear, .01); as with all models here, gradients
are not clipped and 16-mixed is bfloat16, which needs no loss scaling.
Shapes: T packed positions, B users, d hidden, N items; 0 is padding, N+1 the mask."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.attention import Attention
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.metadata_fusion import Fusion
from kitrec.recommenders.models.params import BERT4Rec as Params


class BERT4Rec(Recommender):
    def __init__(self, items: int, p: Params, features: ItemFeatures | None = None) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 2, p.hidden_size, padding_idx=0)
        self.places = nn.Embedding(p.max_length, p.hidden_size)
        self.fusion = Fusion(p.hidden_size, features or ItemFeatures(), p.metadata, mask=items + 1)
        self.norm = nn.LayerNorm(p.hidden_size, eps=1e-12)
        self.blocks = nn.ModuleList(_Block(p) for _ in range(p.layers))
        self.head = nn.Linear(p.hidden_size, p.hidden_size)
        self.bias = nn.Parameter(torch.zeros(items))
        self.own_output = None if p.share_embeddings else nn.Embedding(items, p.hidden_size)
        self.dropout = nn.Dropout(p.dropout)
        self.max_length, self.masking, self.mask_item = p.max_length, p.masking, items + 1
        self.apply(_initialize)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """[T, d]: the hidden state of each position before the head."""
        x = self._embed(batch)
        for block in self.blocks:
            x = block(x, batch)
        return x

    def restored(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the head: [n, d] hidden states -> [n, d], to be compared with the output vectors."""
        return F.gelu(self.head(x))

    def shown(self, histories: Sequences) -> Sequences:
        """Return the newest items with the mask appended."""
        return histories.newest(self.max_length - 1).extended(self.mask_item)

    def represent(self, batch: PackedBatch) -> torch.Tensor:
        """[B, d] at the mask that ends every sequence; the last block computes this position only."""
        x = self._embed(batch)
        for block in self.blocks[:-1]:
            x = block(x, batch)
        return self.restored(cast(_Block, self.blocks[-1]).newest(x, batch))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the vectors and biases of items 1 ... N."""
        vectors = self.items.weight[1:-1] if self.own_output is None else self.own_output.weight
        return vectors, self.bias

    def _embed(self, batch: PackedBatch) -> torch.Tensor:
        fused = self.fusion(self.items(batch.items), batch.items)
        return self.dropout(self.norm(fused + self.places(batch.from_end)))


class _Block(nn.Module):
    def __init__(self, p: Params) -> None:
        super().__init__()
        self.attention = Attention(p.hidden_size, p.heads, p.dropout, causal=False)
        self.norms = nn.ModuleList(nn.LayerNorm(p.hidden_size, eps=1e-12) for _ in range(2))
        self.inner, self.outer = (
            nn.Linear(p.hidden_size, 4 * p.hidden_size),
            nn.Linear(4 * p.hidden_size, p.hidden_size),
        )
        self.dropout = nn.Dropout(p.dropout)

    def forward(self, x: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
        return self._feed_forward(x + self.dropout(self.attention(x, batch)))

    def newest(self, x: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: `forward` at each user's last position."""
        return self._feed_forward(batch.newest(x) + self.dropout(self.attention.newest(x, batch)))

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norms[0](x)
        return self.norms[1](x + self.dropout(self.outer(self.dropout(F.gelu(self.inner(x))))))


def _initialize(module: nn.Module) -> None:
    """Draw every matrix from N(0, 0.02); padding and biases are zero."""
    if isinstance(module, nn.Linear | nn.Embedding | nn.EmbeddingBag):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
