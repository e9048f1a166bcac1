"""BERT4Rec: Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from
Transformer", CIKM 2019.

    x_t = Dropout(LayerNorm(fuse(E[item_t]) + P[place_t]))                (eq. 6; places count from the newest item)
    x   = LayerNorm(x + Dropout(Attention(x))),   every item sees every item                  (eqs. 1-3)
    x   = LayerNorm(x + Dropout(FFN(x))),   FFN(x) = GELU(x W1 + b1) W2 + b2, inner width 4d  (eqs. 4-5)
    z_i = GELU(x_t W + b) · E[i] + b_i                                                        (eq. 7)
Learning: restore hidden places (masking.py) by cross-entropy over all items (eq. 8). Ranking: a mask is put after the
last item and restored. `share_embeddings: false` gives the output vectors of their own.

Deviations: a LayerNorm after the embedding sum (the authors' code has it, the paper does not); item metadata may be
fused into E[item_t] (metadata.py); `masking.last` hides the last item of some sequences once more, as ranking asks for
it; the schedule is a param, AdamW decays by `weight_decay` (paper: linear, .01); as with all models here, gradients are
not clipped and 16-mixed is bfloat16, which needs no scaling of the loss.
Shapes: T packed places, B users, d hidden, N items; 0 is padding, N+1 the mask."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.packed_batches import Packed
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.attention import Attention
from kitrec.recommenders.models.metadata_fusion import Fusion
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import BERT4Rec as Params


class BERT4Rec(Recommender):
    def __init__(self, items: int, p: Params, known: Known | None = None) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 2, p.hidden, padding_idx=0)
        self.places = nn.Embedding(p.length, p.hidden)
        self.fusion = Fusion(p.hidden, known or Known(), p.metadata, mask=items + 1)
        self.norm = nn.LayerNorm(p.hidden, eps=1e-12)
        self.blocks = nn.ModuleList(_Block(p) for _ in range(p.layers))
        self.head = nn.Linear(p.hidden, p.hidden)
        self.bias = nn.Parameter(torch.zeros(items))
        self.own_output = None if p.share_embeddings else nn.Embedding(items, p.hidden)
        self.dropout = nn.Dropout(p.dropout)
        self.length, self.masking, self.mask_item = p.length, p.masking, items + 1
        self.apply(_start)

    def forward(self, batch: Packed) -> torch.Tensor:
        """[T, d]: each place in the light of all others; its last layer before the head."""
        x = self._placed(batch)
        for block in self.blocks:
            x = block(x, batch)
        return x

    def restored(self, x: torch.Tensor) -> torch.Tensor:
        """[n, d] places -> [n, d] what is compared with the output vectors."""
        return F.gelu(self.head(x))

    def shown(self, histories: Sequences) -> Sequences:
        """The newest items and the mask behind them."""
        return histories.newest(self.length - 1).extended(self.mask_item)

    def represent(self, batch: Packed) -> torch.Tensor:
        """[B, d] of batches that end in the mask, all that the last block is asked for."""
        x = self._placed(batch)
        for block in self.blocks[:-1]:
            x = block(x, batch)
        return self.restored(cast(_Block, self.blocks[-1]).newest(x, batch))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Vectors and biases of items 1 ... N."""
        vectors = self.items.weight[1:-1] if self.own_output is None else self.own_output.weight
        return vectors, self.bias

    def _placed(self, batch: Packed) -> torch.Tensor:
        fused = self.fusion(self.items(batch.items), batch.items)
        return self.dropout(self.norm(fused + self.places(batch.from_end)))


class _Block(nn.Module):
    def __init__(self, p: Params) -> None:
        super().__init__()
        self.attention = Attention(p.hidden, p.heads, p.dropout, causal=False)
        self.norms = nn.ModuleList(nn.LayerNorm(p.hidden, eps=1e-12) for _ in range(2))
        self.inner, self.outer = nn.Linear(p.hidden, 4 * p.hidden), nn.Linear(4 * p.hidden, p.hidden)
        self.dropout = nn.Dropout(p.dropout)

    def forward(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        return self._fed(x + self.dropout(self.attention(x, batch)))

    def newest(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        """[B, d]: `forward` at each user's last place."""
        return self._fed(batch.newest(x) + self.dropout(self.attention.newest(x, batch)))

    def _fed(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norms[0](x)
        return self.norms[1](x + self.dropout(self.outer(self.dropout(F.gelu(self.inner(x))))))


def _start(module: nn.Module) -> None:
    """N(0, 0.02) for every matrix; padding and biases are zero."""
    if isinstance(module, nn.Linear | nn.Embedding | nn.EmbeddingBag):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
