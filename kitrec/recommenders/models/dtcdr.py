"""DTCDR (Zhu, Chen, Wang, Liu, Zheng: DTCDR: A Framework for Dual-Target Cross-Domain Recommendation, CIKM 2019).

    e_u = combine(u_source, u_target [, t_source, t_target])       rating (and text) embeddings of a reader
    e_i = q_i, or combine(q_i, t_i);  t = A T, T the vectors of titles, a reader's the mean of what they read
    combine: concat, elementwise max, mean                         the paper's three operators
    neumf   r = s(h . [W e_u * e_i ; MLP_d([e_u ; e_i])])          NeuMF, one for each domain d
    dmf     r = (1 + cos(MLP_d(e_u), MLP'_d(e_i))) / 2             DMF
    L = weight L_target + (1 - weight) L_source                    cross-entropies: both domains are learned together
Shapes: n rows (B readers), C items each, d width, m vectors that are combined.

Deviations: every liked interaction is a positive with y = 1, so the cross-entropy of y / max(y) is the plain one.
DMF's max(1e-6, cos) has no slope where the cosine is negative, hence the affine form. Titles stand for the paper's
documents (reviews, profiles); without them (`titles: false`) only the rating part runs. A reader with nothing in a
domain brings no vector of that domain: max and mean go over the others, concat holds zeros. Users are table rows only
in the paper's form."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import Asked
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner, Lesson, counted_mean
from kitrec.recommenders.models.user_encoders import encoder, means, table

LEAST = 1e-6


class NeuMF(nn.Module):
    """r's logit from e_u [..., a] and e_i [..., b]"""

    def __init__(self, reader: int, item: int, layers: list[int]) -> None:
        super().__init__()
        self.project = nn.Linear(reader, item, bias=False)
        self.mlp = _mlp([reader + item, *layers])
        self.out = nn.Linear(item + layers[-1], 1)

    def forward(self, reader: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        mixed = self.mlp(torch.cat([reader, item], dim=-1))
        return self.out(torch.cat([self.project(reader) * item, mixed], dim=-1)).squeeze(-1)


class DMF(nn.Module):
    """The logit of r, so that both kinds speak alike."""

    def __init__(self, reader: int, item: int, layers: list[int]) -> None:
        super().__init__()
        self.reader, self.item = _mlp([reader, *layers])[:-1], _mlp([item, *layers])[:-1]

    def forward(self, reader: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        likeness = F.cosine_similarity(self.reader(reader), self.item(item), dim=-1)
        return torch.logit((1 + likeness) / 2, eps=LEAST)


class DTCDR(Learner):
    def __init__(
        self, catalogue: Catalogue, users: int | None, p: params.DTCDR, titles: np.ndarray | None = None
    ) -> None:
        super().__init__(catalogue)
        if p.titles != (titles is not None):
            raise ValueError("titles are given where the params ask for them, and nowhere else")
        self.by_number, self.combination, self.weight = users is not None, p.combination, p.weight
        self.items = table(catalogue.items + 1, p.hidden, p.hidden**-0.5)
        self.readers = encoder(p.hidden, users, vectors=2, spread=p.hidden**-0.5)
        if titles is not None:
            self.register_buffer("titles", torch.from_numpy(titles))
            self.text = nn.Linear(titles.shape[1], p.hidden, bias=False)
        vectors = 1 if titles is None else 2  # of an item; a reader has as many a side
        times = vectors if p.combination == "concat" else 1
        shape = (p.hidden * (2 * times if p.combination == "concat" else 1), p.hidden * times, p.layers)
        tower = NeuMF if p.rating == "neumf" else DMF
        self.source, self.target = tower(*shape), tower(*shape)

    def embedded_readers(self, asked: Asked) -> torch.Tensor:
        """e_u [B, a]"""
        vectors = self.readers(asked, self.items.weight)
        there = [torch.ones_like(asked.has(side)) if self.by_number else asked.has(side) for side in (0, 1)]
        if "titles" in self._buffers:
            titles = self.get_buffer("titles")
            titled = means(asked, titles.any(1, keepdim=True).float())  # the share of items that have one
            texts = zip(means(asked, titles), titled, strict=True)
            vectors += [self.text(own / share.clamp(min=1e-9)) for own, share in texts]
            there += [share[:, 0] > 0 for share in titled]
        return combine(self.combination, vectors, there)

    def embedded_items(self, items: torch.Tensor) -> torch.Tensor:
        """e_i [..., b]"""
        vectors, there = [self.items(items)], [torch.ones_like(items, dtype=torch.bool)]
        if "titles" in self._buffers:
            titles = self.get_buffer("titles")[items]
            vectors.append(self.text(titles))
            there.append(titles.any(-1))
        return combine(self.combination, vectors, there)

    def loss(self, lesson: Lesson) -> torch.Tensor:
        reader, items = self.embedded_readers(lesson.asked), self.embedded_items(lesson.items)
        reader = reader[:, None].expand(-1, items.shape[2], -1)
        losses = []
        for side, tower in enumerate((self.source, self.target)):
            logits = tower(reader, items[:, side])
            label = torch.zeros_like(logits)
            label[:, 0] = 1.0
            wrong = F.binary_cross_entropy_with_logits(logits, label, reduction="none").mean(1)
            losses.append(counted_mean(wrong, lesson.counted[:, side]))
        return (1 - self.weight) * losses[0] + self.weight * losses[1]

    def scores(self, asked: Asked, candidates: torch.Tensor) -> torch.Tensor:
        items = self.embedded_items(candidates)
        reader = self.embedded_readers(asked)[:, None].expand(-1, candidates.shape[1], -1)
        return torch.where(self.are_target(candidates), self.target(reader, items), self.source(reader, items))


def combine(how: str, vectors: list[torch.Tensor], there: list[torch.Tensor]) -> torch.Tensor:
    """m vectors [..., d] to one, those that are not there [...] left out."""
    stacked, real = torch.stack(vectors, dim=-2), torch.stack(there, dim=-1)[..., None]
    if how == "concat":
        return (stacked * real).flatten(-2)
    if how == "mean":
        return (stacked * real).sum(-2) / real.sum(-2).clamp(min=1)
    highest = stacked.masked_fill(~real, -torch.inf).amax(-2)
    return torch.where(real.any(-2), highest, 0.0)


def _mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers with a relu after each."""
    layers: list[nn.Module] = []
    for pair in itertools.pairwise(widths):
        layers += [nn.Linear(*pair), nn.ReLU()]
    return nn.Sequential(*layers)
