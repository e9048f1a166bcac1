"""DTCDR (Zhu, Chen, Wang, Liu, Zheng: DTCDR: A Framework for Dual-Target Cross-Domain Recommendation, CIKM 2019).

    e_u = combine(u_source, u_target [, t_source, t_target])       rating (and text) embeddings of a user
    e_i = q_i, or combine(q_i, t_i);  t = A T, T the title vectors, for a user the mean over the user's items
    combine: concat, elementwise max, mean                         the paper's three operators
    neumf   r = s(h . [W e_u * e_i ; MLP_d([e_u ; e_i])])          NeuMF, one for each domain d
    dmf     r = (1 + cos(MLP_d(e_u), MLP'_d(e_i))) / 2             DMF
    L = weight L_target + (1 - weight) L_source                    cross-entropies of both domains, trained jointly
Shapes: n rows (B users), C items each, d width, m vectors that are combined.

Deviations: every positive has y = 1, so the cross-entropy of y / max(y) is the plain one. DMF's max(1e-6, cos) has no
gradient where the cosine is negative, hence the affine form. Titles replace the paper's documents (reviews, profiles);
without them (`titles: false`) only the rating part runs. A user without items in a domain has no vector of that domain:
max and mean run over the others, concat holds zeros. Users are rows of a table only in the paper's form."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Learner, PairBatch, counted_mean
from kitrec.recommenders.models.user_encoders import embedding_table, mean_embeddings, user_encoder

EPSILON = 1e-6


class NeuMF(nn.Module):
    """The logit of r from e_u [..., a] and e_i [..., b]."""

    def __init__(self, user_width: int, item_width: int, layers: list[int]) -> None:
        super().__init__()
        self.project = nn.Linear(user_width, item_width, bias=False)
        self.mlp = _mlp([user_width + item_width, *layers])
        self.out = nn.Linear(item_width + layers[-1], 1)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        mixed = self.mlp(torch.cat([user, item], dim=-1))
        return self.out(torch.cat([self.project(user) * item, mixed], dim=-1)).squeeze(-1)


class DMF(nn.Module):
    """Return the logit of r from e_u [..., a] and e_i [..., b], so that both towers return logits."""

    def __init__(self, user_width: int, item_width: int, layers: list[int]) -> None:
        super().__init__()
        self.user, self.item = _mlp([user_width, *layers])[:-1], _mlp([item_width, *layers])[:-1]

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        similarity = F.cosine_similarity(self.user(user), self.item(item), dim=-1)
        return torch.logit((1 + similarity) / 2, eps=EPSILON)


class DTCDR(Learner):
    def __init__(
        self, item_domains: ItemDomains, users: int | None, p: params.DTCDR, titles: np.ndarray | None = None
    ) -> None:
        super().__init__(item_domains)
        if p.titles != (titles is not None):
            raise ValueError("pass titles exactly when the param `titles` is true")
        self.by_index, self.combination, self.target_weight = users is not None, p.combination, p.target_weight
        self.items = embedding_table(item_domains.items + 1, p.hidden_size, p.hidden_size**-0.5)
        self.users = user_encoder(p.hidden_size, users, vectors=2, std=p.hidden_size**-0.5)
        if titles is not None:
            self.register_buffer("titles", torch.from_numpy(titles))
            self.text = nn.Linear(titles.shape[1], p.hidden_size, bias=False)
        vectors = 1 if titles is None else 2  # of an item; a user has as many on each side
        factor = vectors if p.combination == "concat" else 1
        shape = (p.hidden_size * (2 * factor if p.combination == "concat" else 1), p.hidden_size * factor, p.layers)
        tower = NeuMF if p.rating == "neumf" else DMF
        self.source, self.target = tower(*shape), tower(*shape)

    def embed_users(self, batch: CrossDomainBatch) -> torch.Tensor:
        """e_u [B, a]"""
        vectors = self.users(batch, self.items.weight)
        present = [torch.ones_like(batch.has(side)) if self.by_index else batch.has(side) for side in (0, 1)]
        if "titles" in self._buffers:
            titles = self.get_buffer("titles")
            shares = mean_embeddings(batch, titles.any(1, keepdim=True).float())  # of items with a title
            means = zip(mean_embeddings(batch, titles), shares, strict=True)
            vectors += [self.text(mean / share.clamp(min=1e-9)) for mean, share in means]
            present += [share[:, 0] > 0 for share in shares]
        return combine(self.combination, vectors, present)

    def embed_items(self, items: torch.Tensor) -> torch.Tensor:
        """e_i [..., b]"""
        vectors, present = [self.items(items)], [torch.ones_like(items, dtype=torch.bool)]
        if "titles" in self._buffers:
            titles = self.get_buffer("titles")[items]
            vectors.append(self.text(titles))
            present.append(titles.any(-1))
        return combine(self.combination, vectors, present)

    def loss(self, batch: PairBatch) -> torch.Tensor:
        user, items = self.embed_users(batch.users), self.embed_items(batch.items)
        user = user[:, None].expand(-1, items.shape[2], -1)
        losses = []
        for side, tower in enumerate((self.source, self.target)):
            logits = tower(user, items[:, side])
            label = torch.zeros_like(logits)
            label[:, 0] = 1.0
            row_losses = F.binary_cross_entropy_with_logits(logits, label, reduction="none").mean(1)
            losses.append(counted_mean(row_losses, batch.counted[:, side]))
        return (1 - self.target_weight) * losses[0] + self.target_weight * losses[1]

    def scores(self, batch: CrossDomainBatch, candidates: torch.Tensor) -> torch.Tensor:
        items = self.embed_items(candidates)
        user = self.embed_users(batch)[:, None].expand(-1, candidates.shape[1], -1)
        return torch.where(self.are_target(candidates), self.target(user, items), self.source(user, items))


def combine(how: str, vectors: list[torch.Tensor], present: list[torch.Tensor]) -> torch.Tensor:
    """Combine m vectors [..., d] into one, leaving out those that are not present [...]."""
    stacked, mask = torch.stack(vectors, dim=-2), torch.stack(present, dim=-1)[..., None]
    if how == "concat":
        return (stacked * mask).flatten(-2)
    if how == "mean":
        return (stacked * mask).sum(-2) / mask.sum(-2).clamp(min=1)
    maximum = stacked.masked_fill(~mask, -torch.inf).amax(-2)
    return torch.where(mask.any(-2), maximum, 0.0)


def _mlp(widths: list[int]) -> nn.Sequential:
    """Stack linear layers with a relu after each."""
    layers: list[nn.Module] = []
    for pair in itertools.pairwise(widths):
        layers += [nn.Linear(*pair), nn.ReLU()]
    return nn.Sequential(*layers)
