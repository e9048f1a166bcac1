"""GRU4Rec: Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016.

    z_t = s(Wz x_t + Uz h_(t-1)),  r_t = s(Wr x_t + Ur h_(t-1))                              (eqs. 2, 4)
    c_t = tanh(W x_t + U (r_t * h_(t-1))),  h_t = (1 - z_t) h_(t-1) + z_t c_t                (eqs. 1, 3)
    r_i = h_t · E[i] + b[i]

Deviations: torch's GRU applies r_t after U h (cuDNN's variant: a similar, not the same function) and swaps the names
of z and 1 - z; inputs are embeddings shared with the output (Hidasi and Karatzoglou, CIKM 2018, section 4.2), not
one-hot vectors; a batch holds whole users instead of parallel sessions, so the gradient reaches every step; the loss
is one of losses.py, not TOP1 or BPR against the other items of a mini-batch; AdamW instead of Adagrad.
Shapes: T packed items, B users, L the longest, d hidden, N items."""

import torch
from torch import nn

from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.params import GRU4Rec as Params


class GRU4Rec(Recommender):
    def __init__(self, items: int, p: Params) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, p.hidden_size, padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(items))
        self.recurrent = nn.GRU(p.hidden_size, p.hidden_size, p.layers, batch_first=True)
        self.entered, self.left = nn.Dropout(p.dropout), nn.Dropout(p.dropout)
        self.max_length = p.max_length
        nn.init.normal_(self.items.weight, std=0.02)
        with torch.no_grad():
            self.items.weight[0].zero_()

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """[T, d]: the hidden state after each item."""
        x = self.entered(self.items(batch.items))
        with torch.autocast(x.device.type, enabled=False):  # a 16-bit GRU takes twice as long on a CPU
            return self.left(batch.through_rows(x.float(), lambda rows, _: self.recurrent(rows)[0]))

    def represent(self, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: the state after each user's last item."""
        return batch.newest(self(batch))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the vectors and biases of items 1 ... N."""
        return self.items.weight[1:], self.bias
