"""Multi-head self-attention over a packed batch, shared by SASRec and BERT4Rec.

    head_h = softmax(Q_h K_h^T / sqrt(d/H)) V_h,   out = concat(head_1 ... head_H) W_O
(Vaswani et al. 2017, eq. 1 and section 3.2.2). Dropout is applied to the attention weights.
Ranking needs only each user's last position of the last layer: `newest` computes its query alone.
Shapes: x [T, d], B users, H heads."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import PackedBatch, Part


class Attention(nn.Module):
    def __init__(self, hidden: int, heads: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.into = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.heads, self.dropout, self.causal = heads, dropout, causal

    def forward(self, x: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
        return self.out(batch.through_rows(self.into(x), self._mix))

    def newest(self, x: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: `forward` at each user's last position."""
        width = x.shape[-1]
        weights, biases = self.into.weight, self.into.bias
        query = F.linear(batch.newest(x), weights[:width], biases[:width])
        keys_values = F.linear(x, weights[width:], biases[width:])
        return self.out(batch.beside_rows(query, keys_values, self._mix_newest))

    def _mix_newest(self, query: torch.Tensor, rows: torch.Tensor, part: Part) -> torch.Tensor:
        users, longest, _ = rows.shape
        key, value = rows.view(users, longest, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = None if part.real is None else part.real[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query.view(users, self.heads, 1, -1), key, value, mask, dropout)
        return mixed.reshape(users, -1)

    def _mix(self, rows: torch.Tensor, part: Part) -> torch.Tensor:
        users, longest, _ = rows.shape
        query, key, value = rows.view(users, longest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Padding is on the right: causal attention never reaches it, bidirectional attention needs a mask.
        mask = None if self.causal or part.real is None else part.real[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout, is_causal=self.causal)
        return mixed.transpose(1, 2).reshape(users, longest, -1)
