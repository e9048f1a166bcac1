"""CoNet (Hu, Zhang, Yang: CoNet: Collaborative Cross Networks for Cross-Domain Recommendation, CIKM 2018) and SCoNet.

    a_0 = [p_u ; q_i],  b_0 = [p_u ; q_j]                          i an item of the source, j one of the target
    a_l+1 = relu(W_l a_l + H_l b_l + w_l),  b_l+1 = relu(V_l b_l + H_l a_l + v_l)        the cross unit, H_l shared
    r_ui = s(h_a . a_L),  r_uj = s(h_b . b_L)                      s the logistic function
    L = L_source + L_target + lambda sum |H_l|                     cross-entropies; lambda > 0: SCoNet
Shapes: B users (n rows), C candidates each, k negatives, d width of p and q.

Deviations: p_u is a row of a table only in the paper's form; in the history form it is made of the user's items. Every
hidden layer has a cross unit, the first one included. A row pairs examples of both domains whose labels are
independent, so that no label can be read off the other tower. A candidate is scored beside the user's newest item of
the other domain, whatever its rating (in training the accompanying item is a positive). One target tower serves all
targets; negatives come from the positive's own domain."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Learner, PairBatch, counted_mean
from kitrec.recommenders.models.user_encoders import embedding_table, user_encoder

INIT_STD = 0.1  # of fresh embeddings


class CoNet(Learner):
    def __init__(self, item_domains: ItemDomains, users: int | None, p: params.CoNet) -> None:
        super().__init__(item_domains)
        self.items = embedding_table(item_domains.items + 1, p.hidden_size, INIT_STD)
        self.users = user_encoder(p.hidden_size, users, vectors=1, std=INIT_STD)
        self.sparsity = p.sparsity
        widths = [2 * p.hidden_size, *p.layers]
        pairs = list(itertools.pairwise(widths))
        self.source = nn.ModuleList(nn.Linear(*pair) for pair in pairs)
        self.target = nn.ModuleList(nn.Linear(*pair) for pair in pairs)
        self.cross = nn.ModuleList(nn.Linear(*pair, bias=False) for pair in pairs)
        self.source_out, self.target_out = nn.Linear(widths[-1], 1), nn.Linear(widths[-1], 1)

    def forward(
        self, user: torch.Tensor, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of both towers, [n, C], for p_u [n, d], q_i and q_j [n, C or 1, d]."""
        a, b = self._first(user, source, target)
        for layer_a, layer_b, shared in zip(self.source[1:], self.target[1:], self.cross[1:], strict=True):
            a, b = F.relu(layer_a(a) + shared(b)), F.relu(layer_b(b) + shared(a))
        return self.source_out(a).squeeze(-1), self.target_out(b).squeeze(-1)

    def _first(
        self, user: torch.Tensor, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Apply the first cross unit without building [p ; q]: the user's part of the sum is computed once per user."""
        width, shared = user.shape[-1], self.cross.get_submodule("0").get_parameter("weight")
        outputs = []
        for tower, item, other_item in ((self.source, source, target), (self.target, target, source)):
            weight, bias = (tower.get_submodule("0").get_parameter(name) for name in ("weight", "bias"))
            user_part = F.linear(user, (weight + shared)[:, :width], bias)[:, None]
            outputs.append(
                F.relu(user_part + F.linear(item, weight[:, width:]) + F.linear(other_item, shared[:, width:]))
            )
        return outputs[0], outputs[1]

    def loss(self, batch: PairBatch) -> torch.Tensor:
        width = batch.items.shape[2]
        columns = torch.arange(width, device=batch.items.device)
        shifted = (columns - batch.shift[:, None]) % width
        source, target = self.items(batch.items[:, 0].gather(1, shifted)), self.items(batch.items[:, 1])
        logits = self(self.users(batch.users, self.items.weight)[0], source, target)
        labels = (shifted == 0, (columns == 0).expand_as(shifted))
        losses = [
            counted_mean(_cross_entropy(side_logits, label).mean(1), batch.counted[:, side])
            for side, (side_logits, label) in enumerate(zip(logits, labels, strict=True))
        ]
        return losses[0] + losses[1] + self.sparsity * self.penalty()

    def penalty(self) -> torch.Tensor:
        """sum |H_l|"""
        return torch.cat([weight.flatten() for weight in self.cross.parameters()]).abs().sum()

    def scores(self, batch: CrossDomainBatch, candidates: torch.Tensor) -> torch.Tensor:
        user, items = self.users(batch, self.items.weight)[0], self.items(candidates)
        source, target = (self.items(batch.newest(side, 1)) for side in (0, 1))
        are_target = self.are_target(candidates)
        as_targets = self(user, source, items)[1]
        return as_targets if are_target.all() else torch.where(are_target, as_targets, self(user, items, target)[0])


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
