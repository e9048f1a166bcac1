"""Caser: Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding", WSDM 2018.

    E       [L, d] the embeddings of the L items before a target                             (eq. 1)
    c_h,k   = max over i of ReLU(E[i : i+h] ⊙ F_k),  h = 1 ... L, n_h filters of each height   (eqs. 2-4)
    c_v,k   = sum over l of G_k[l] E[l],  n_v filters                                        (eqs. 5-6)
    z       = ReLU(W [c_h; c_v] + b)                                                         (eq. 9)
    y_i     = W'[i] · z + b'[i]                                                              (eq. 10)
A window predicts the next `num_targets` items at once (section 3.4: skip behaviours), with binary cross-entropy as
published.

Deviations: the user embedding P_u beside z (eq. 10) is left out, since test users do not occur in training and have
none; z alone represents the user. Windows that start before the first item are padded with zero vectors. The loss takes
the mean over a target's negatives, the paper their sum. AdamW's `weight_decay` replaces Adam with L2.
Shapes: n windows, L length, d hidden, N items."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import PackedBatch
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.params import Caser as Params


class Caser(Recommender):
    def __init__(self, items: int, p: Params) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, p.hidden_size, padding_idx=0)
        self.horizontal = nn.ModuleList(nn.Conv1d(p.hidden_size, p.horizontal, h) for h in range(1, p.max_length + 1))
        self.vertical = nn.Linear(p.max_length, p.vertical, bias=False)
        self.mix = nn.Linear(p.horizontal * p.max_length + p.vertical * p.hidden_size, p.hidden_size)
        self.dropout = nn.Dropout(p.dropout)
        self.out = nn.Embedding(items, p.hidden_size)
        self.bias = nn.Parameter(torch.zeros(items))
        self.max_length, self.num_targets = p.max_length, p.num_targets
        for table in (self.items, self.out):
            nn.init.normal_(table.weight, std=1 / p.hidden_size)
        with torch.no_grad():
            self.items.weight[0].zero_()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """[n, L] item numbers (0: none) -> [n, d]."""
        channels = self.items(windows).transpose(1, 2)
        horizontal = [F.relu(convolve(channels)).amax(2) for convolve in self.horizontal]
        vertical = self.vertical(channels).flatten(1)
        return F.relu(self.mix(self.dropout(torch.cat([*horizontal, vertical], dim=1))))

    def represent(self, batch: PackedBatch) -> torch.Tensor:
        """[B, d]: the state of each user's newest L items."""
        return self(windows_before(batch, batch.ends + 1, self.max_length))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the vectors and biases of items 1 ... N."""
        return self.out.weight, self.bias


def windows_before(batch: PackedBatch, indices: torch.Tensor, length: int) -> torch.Tensor:
    """[n, L]: the same user's items just before each index of the packed batch; 0 before the first one."""
    previous = indices[:, None] - torch.arange(length, 0, -1, device=indices.device)
    first = (batch.ends + 1 - batch.lengths)[batch.user[indices - 1]]
    return torch.where(previous >= first[:, None], batch.items[previous.clamp_min(0)], 0)
