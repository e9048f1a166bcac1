"""SSCDR (Kang, Hwang, Lee, Yu: Semi-Supervised Learning for Cross-Domain Recommendation to Cold-Start Users, CIKM
2019).

    d(a, b) = |a - b|^2, all points within the unit ball                            a metric space for each domain
    L_metric = [margin + d(u, i) - d(u, j)]_+                                       j an item the user has not had
    f: source -> target, f(a) = W2 tanh(W1 a + w1) + w2                             the mapping
    L_S = d(f(u_source), u_target)                                                  users of both domains
    L_U = [margin + d(f(i), u_target) - d(f(i), u'_target)]_+                       i a source item of u, u' another one
    L = L_metric + supervised L_S + unsupervised L_U
    cold users:   v = mean of f(u_source) and of the mean of f(i) over their source items     inference over one hop
    r_uj = -d(v, j)
Shapes: n rows (B users), C candidates, k negatives, d width.

Deviations: all parts are trained jointly, but L_S and L_U update only f (points are detached), as if the spaces had
been trained first. In the history form a user is the mean of the user's item points, and L_S pulls f(u_source) towards
each target item of the user, hence towards their mean. A user with a target history is the mean of v and the user's own
point there; the paper ranks cold users only. u' is the next user of the batch, whatever the history. In the history
form a user whose only target item is the one to predict has no point there, and trains the source space and the mapping
alone."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Learner, PairBatch, counted_mean
from kitrec.recommenders.models.user_encoders import embedding_table, mean_embeddings, user_encoder


class SSCDR(Learner):
    def __init__(self, item_domains: ItemDomains, users: int | None, p: params.SSCDR) -> None:
        super().__init__(item_domains)
        std = p.hidden_size**-0.5
        self.items = embedding_table(item_domains.items + 1, p.hidden_size, std)
        self.users = user_encoder(p.hidden_size, users, vectors=2, std=std)
        self.map = nn.Sequential(
            nn.Linear(p.hidden_size, 2 * p.hidden_size), nn.Tanh(), nn.Linear(2 * p.hidden_size, p.hidden_size)
        )
        self.by_index, self.margin = users is not None, p.margin
        self.supervised, self.unsupervised = p.supervised, p.unsupervised

    def loss(self, batch: PairBatch) -> torch.Tensor:
        source, target = self._points(batch.users)
        items = in_ball(self.items(batch.items))
        present = [
            batch.users.has(side) | batch.counted[:, side] if self.by_index else batch.users.has(side)
            for side in (0, 1)
        ]
        metric = torch.zeros((), device=self.device)
        for side, user in enumerate((source, target)):
            distances = distance(user[:, None], items[:, side])
            hinge = F.relu(self.margin + distances[:, :1] - distances[:, 1:]).mean(1)
            metric = metric + counted_mean(hinge, batch.counted[:, side] & present[side])
        source_item, target_item = items[:, 0, 0].detach(), items[:, 1, 0].detach()
        source, target = source.detach(), target.detach()
        point = target if self.by_index else target_item
        supervised = self.supervised * counted_mean(
            distance(self.map(source), point), present[0] & (present[1] if self.by_index else batch.counted[:, 1])
        )
        mapped = self.map(source_item)
        hinge = F.relu(self.margin + distance(mapped, target) - distance(mapped, target.roll(1, 0)))
        both = batch.counted[:, 0] & present[1] & present[1].roll(1, 0)
        return metric + supervised + self.unsupervised * counted_mean(hinge, both)

    def scores(self, batch: CrossDomainBatch, candidates: torch.Tensor) -> torch.Tensor:
        source, target = self._points(batch)
        has_source, has_target = (batch.has(side)[:, None] for side in (0, 1))
        mapped = (self.map(source) + self._hop(batch)) / 2
        user = torch.where(has_target, torch.where(has_source, (mapped + target) / 2, target), mapped)
        items = in_ball(self.items(candidates))
        return -torch.where(
            self.are_target(candidates), distance(user[:, None], items), distance(source[:, None], items)
        )

    def _points(self, batch: CrossDomainBatch) -> list[torch.Tensor]:
        return [in_ball(vectors) for vectors in self.users(batch, self.items.weight)]

    def _hop(self, batch: CrossDomainBatch) -> torch.Tensor:
        """[B, d] the mean of f(i) over the source items of each user."""
        padded = torch.cat([batch.items[0].new_zeros(1), batch.items[0]])
        unique, indices = torch.unique(padded, return_inverse=True)
        mapped = self.map(in_ball(self.items(unique)))
        return mean_embeddings(CrossDomainBatch((indices[1:], indices[1:]), batch.starts, None), mapped)[0]


def in_ball(points: torch.Tensor) -> torch.Tensor:
    """Project points outside the unit ball onto its surface."""
    return points / points.norm(dim=-1, keepdim=True).clamp(min=1.0)


def distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distance."""
    return (first - second).square().sum(-1)
