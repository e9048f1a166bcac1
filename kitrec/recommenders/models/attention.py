"""What SASRec and BERT4Rec share: multi-head self-attention over a packed batch.

    head_h = softmax(Q_h K_h^T / sqrt(d/H)) V_h,   out = concat(head_1 ... head_H) W_O
(Vaswani et al. 2017, eq. 1 and section 3.2.2). Dropout falls on the attention weights.
Of the last layer a ranking needs each user's last place alone: `newest` asks with its query only.
Shapes: x [T, d], B users, H heads."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import Packed, Part


class Attention(nn.Module):
    def __init__(self, hidden: int, heads: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.into = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.heads, self.dropout, self.causal = heads, dropout, causal

    def forward(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        return self.out(batch.through_rows(self.into(x), self._mix))

    def newest(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        """[B, d]: `forward` at each user's last place."""
        width = x.shape[-1]
        weights, biases = self.into.weight, self.into.bias
        query = F.linear(batch.newest(x), weights[:width], biases[:width])
        others = F.linear(x, weights[width:], biases[width:])
        return self.out(batch.beside_rows(query, others, self._mix_newest))

    def _mix_newest(self, query: torch.Tensor, rows: torch.Tensor, part: Part) -> torch.Tensor:
        users, longest, _ = rows.shape
        key, value = rows.view(users, longest, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = None if part.real is None else part.real[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query.view(users, self.heads, 1, -1), key, value, seen, dropout)
        return mixed.reshape(users, -1)

    def _mix(self, rows: torch.Tensor, part: Part) -> torch.Tensor:
        users, longest, _ = rows.shape
        query, key, value = rows.view(users, longest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Padding stands at the right: a causal row never reaches it, another row must not look at it.
        seen = None if self.causal or part.real is None else part.real[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, seen, dropout, is_causal=self.causal)
        return mixed.transpose(1, 2).reshape(users, longest, -1)
