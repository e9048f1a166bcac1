"""Caser: Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding", WSDM 2018.

    E       [L, d] the embeddings of the L items before a target                             (eq. 1)
    c_h,k   = max over i of ReLU(E[i : i+h] ⊙ F_k),  h = 1 ... L, n_h filters of each height   (eqs. 2-4)
    c_v,k   = sum over l of G_k[l] E[l],  n_v filters                                        (eqs. 5-6)
    z       = ReLU(W [c_h; c_v] + b)                                                         (eq. 9)
    y_i     = W'[i] · z + b'[i]                                                              (eq. 10)
A window learns the next `ahead` items at once (section 3.4: skip behaviours), with binary cross-entropy as published.

Deviation: the user's own vector P_u beside z (eq. 10) is left out. Readers of the test are unknown in training, so they
have none; z then has to carry all there is. Windows that begin before the first item are padded with zero vectors.
The loss takes the mean over a target's negatives, the paper their sum. AdamW's `weight_decay` stands for Adam with L2.
Shapes: n windows, L length, d hidden, N items."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import Packed
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import Caser as Params


class Caser(Recommender):
    def __init__(self, items: int, p: Params) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, p.hidden, padding_idx=0)
        self.horizontal = nn.ModuleList(nn.Conv1d(p.hidden, p.horizontal, h) for h in range(1, p.length + 1))
        self.vertical = nn.Linear(p.length, p.vertical, bias=False)
        self.mix = nn.Linear(p.horizontal * p.length + p.vertical * p.hidden, p.hidden)
        self.dropout = nn.Dropout(p.dropout)
        self.out = nn.Embedding(items, p.hidden)
        self.bias = nn.Parameter(torch.zeros(items))
        self.length, self.ahead = p.length, p.ahead
        for table in (self.items, self.out):
            nn.init.normal_(table.weight, std=1 / p.hidden)
        with torch.no_grad():
            self.items.weight[0].zero_()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """[n, L] item numbers (0: none) -> [n, d]."""
        channels = self.items(windows).transpose(1, 2)
        wide = [F.relu(convolve(channels)).amax(2) for convolve in self.horizontal]
        deep = self.vertical(channels).flatten(1)
        return F.relu(self.mix(self.dropout(torch.cat([*wide, deep], dim=1))))

    def represent(self, batch: Packed) -> torch.Tensor:
        """[B, d]: of the newest L items of each user."""
        return self(windows_before(batch, batch.ends + 1, self.length))

    def output(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Vectors and biases of items 1 ... N."""
        return self.out.weight, self.bias


def windows_before(batch: Packed, where: torch.Tensor, length: int) -> torch.Tensor:
    """[n, L]: the items of the same user just before each place `where` of the packed batch; 0 before the first one."""
    back = where[:, None] - torch.arange(length, 0, -1, device=where.device)
    first = (batch.ends + 1 - batch.lengths)[batch.user[where - 1]]
    return torch.where(back >= first[:, None], batch.items[back.clamp_min(0)], 0)
