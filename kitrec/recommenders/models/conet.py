"""CoNet (Hu, Zhang, Yang: CoNet: Collaborative Cross Networks for Cross-Domain Recommendation, CIKM 2018) and SCoNet.

    a_0 = [p_u ; q_i],  b_0 = [p_u ; q_j]                          i an item of the source, j one of the target
    a_l+1 = relu(W_l a_l + H_l b_l + w_l),  b_l+1 = relu(V_l b_l + H_l a_l + v_l)        the cross unit, H_l shared
    r_ui = s(h_a . a_L),  r_uj = s(h_b . b_L)                      s the logistic function
    L = L_source + L_target + lambda sum |H_l|                     cross-entropies; lambda > 0: SCoNet
Shapes: B readers (n rows), C candidates each, k negatives, d width of p and q.

Deviations: p_u is a table's row only in the paper's form; in the history form it is made of what the reader read. A
cross unit stands at every hidden layer, the first one included. A row pairs examples of both domains whose labels are
independent, so that no label can be read off the other tower. Scoring asks with the reader's newest item of the
other domain beside the candidate, liked or not (in training the company is liked). A target tower serves all targets;
negatives come from the positive's own domain."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import Asked
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner, Lesson, counted_mean
from kitrec.recommenders.models.user_encoders import encoder, table

SPREAD = 0.1  # of fresh embeddings


class CoNet(Learner):
    def __init__(self, catalogue: Catalogue, users: int | None, p: params.CoNet) -> None:
        super().__init__(catalogue)
        self.items = table(catalogue.items + 1, p.hidden, SPREAD)
        self.readers = encoder(p.hidden, users, vectors=1, spread=SPREAD)
        self.sparsity = p.sparsity
        widths = [2 * p.hidden, *p.layers]
        pairs = list(itertools.pairwise(widths))
        self.source = nn.ModuleList(nn.Linear(*pair) for pair in pairs)
        self.target = nn.ModuleList(nn.Linear(*pair) for pair in pairs)
        self.cross = nn.ModuleList(nn.Linear(*pair, bias=False) for pair in pairs)
        self.source_out, self.target_out = nn.Linear(widths[-1], 1), nn.Linear(widths[-1], 1)

    def forward(
        self, reader: torch.Tensor, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of both towers, [n, C], for p_u [n, d], q_i and q_j [n, C or 1, d]."""
        a, b = self._first(reader, source, target)
        for own, other, shared in zip(self.source[1:], self.target[1:], self.cross[1:], strict=True):
            a, b = F.relu(own(a) + shared(b)), F.relu(other(b) + shared(a))
        return self.source_out(a).squeeze(-1), self.target_out(b).squeeze(-1)

    def _first(
        self, reader: torch.Tensor, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first cross unit; [p ; q] is never written down: what all items of a reader share is done once."""
        width, shared = reader.shape[-1], self.cross.get_submodule("0").get_parameter("weight")
        found = []
        for tower, mine, theirs in ((self.source, source, target), (self.target, target, source)):
            weight, bias = (tower.get_submodule("0").get_parameter(name) for name in ("weight", "bias"))
            of_reader = F.linear(reader, (weight + shared)[:, :width], bias)[:, None]
            found.append(F.relu(of_reader + F.linear(mine, weight[:, width:]) + F.linear(theirs, shared[:, width:])))
        return found[0], found[1]

    def loss(self, lesson: Lesson) -> torch.Tensor:
        width = lesson.items.shape[2]
        places = torch.arange(width, device=lesson.items.device)
        turned = (places - lesson.shift[:, None]) % width
        source, target = self.items(lesson.items[:, 0].gather(1, turned)), self.items(lesson.items[:, 1])
        logits = self(self.readers(lesson.asked, self.items.weight)[0], source, target)
        labels = (turned == 0, (places == 0).expand_as(turned))
        losses = [
            counted_mean(_cross_entropy(own, label).mean(1), lesson.counted[:, side])
            for side, (own, label) in enumerate(zip(logits, labels, strict=True))
        ]
        return losses[0] + losses[1] + self.sparsity * self.penalty()

    def penalty(self) -> torch.Tensor:
        """sum |H_l|"""
        return torch.cat([own.flatten() for own in self.cross.parameters()]).abs().sum()

    def scores(self, asked: Asked, candidates: torch.Tensor) -> torch.Tensor:
        reader, items = self.readers(asked, self.items.weight)[0], self.items(candidates)
        source, target = (self.items(asked.newest(side, 1)) for side in (0, 1))
        are_target = self.are_target(candidates)
        among_targets = self(reader, source, items)[1]
        return (
            among_targets
            if are_target.all()
            else torch.where(are_target, among_targets, self(reader, items, target)[0])
        )


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
