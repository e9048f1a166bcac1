"""SSCDR (Kang, Hwang, Lee, Yu: Semi-Supervised Learning for Cross-Domain Recommendation to Cold-Start Users, CIKM
2019).

    d(a, b) = |a - b|^2, all points within the unit ball                            a metric space for each domain
    L_metric = [margin + d(u, i) - d(u, j)]_+                                       j an item the reader did not touch
    f: source -> target, f(a) = W2 tanh(W1 a + w1) + w2                             the mapping
    L_S = d(f(u_source), u_target)                                                  readers of both domains
    L_U = [margin + d(f(i), u_target) - d(f(i), u'_target)]_+                       i a source item of u, u' another one
    L = L_metric + supervised L_S + unsupervised L_U
    cold readers: v = mean of f(u_source) and of the mean of f(i) over their source items     inference over one hop
    r_uj = -d(v, j)
Shapes: n rows (B readers), C candidates, k negatives, d width.

Deviations: everything is learned at once, but L_S and L_U move only f (their points are constants to them), as if the
spaces came first. In the history form a reader is the mean of their points, and L_S pulls f(u_source) towards each
target item of the reader, which pulls towards their mean. A reader with a target history is in the middle of v and
their own point there; the paper ranks cold readers only. u' is the next reader of the batch, whatever they read. In the
history form a reader without another target item than the one to be learned has no point there, and teaches the source
space and the mapping alone."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import Asked
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner, Lesson, counted_mean
from kitrec.recommenders.models.user_encoders import encoder, means, table


class SSCDR(Learner):
    def __init__(self, catalogue: Catalogue, users: int | None, p: params.SSCDR) -> None:
        super().__init__(catalogue)
        spread = p.hidden**-0.5
        self.items = table(catalogue.items + 1, p.hidden, spread)
        self.readers = encoder(p.hidden, users, vectors=2, spread=spread)
        self.map = nn.Sequential(nn.Linear(p.hidden, 2 * p.hidden), nn.Tanh(), nn.Linear(2 * p.hidden, p.hidden))
        self.by_number, self.margin = users is not None, p.margin
        self.supervised, self.unsupervised = p.supervised, p.unsupervised

    def loss(self, lesson: Lesson) -> torch.Tensor:
        source, target = self._points(lesson.asked)
        items = in_ball(self.items(lesson.items))
        there = [
            lesson.asked.has(side) | lesson.counted[:, side] if self.by_number else lesson.asked.has(side)
            for side in (0, 1)
        ]
        total = torch.zeros((), device=self.device)
        for side, reader in enumerate((source, target)):
            far = distance(reader[:, None], items[:, side])
            wrong = F.relu(self.margin + far[:, :1] - far[:, 1:]).mean(1)
            total = total + counted_mean(wrong, lesson.counted[:, side] & there[side])
        item, liked = items[:, 0, 0].detach(), items[:, 1, 0].detach()
        source, target = source.detach(), target.detach()
        point = target if self.by_number else liked
        learned = self.supervised * counted_mean(
            distance(self.map(source), point), there[0] & (there[1] if self.by_number else lesson.counted[:, 1])
        )
        mapped = self.map(item)
        wrong = F.relu(self.margin + distance(mapped, target) - distance(mapped, target.roll(1, 0)))
        both = lesson.counted[:, 0] & there[1] & there[1].roll(1, 0)
        return total + learned + self.unsupervised * counted_mean(wrong, both)

    def scores(self, asked: Asked, candidates: torch.Tensor) -> torch.Tensor:
        source, target = self._points(asked)
        there = [asked.has(side) for side in (0, 1)]
        mapped = (self.map(source) + self._hop(asked)) / 2
        own = torch.where(there[1][:, None], torch.where(there[0][:, None], (mapped + target) / 2, target), mapped)
        items = in_ball(self.items(candidates))
        return -torch.where(
            self.are_target(candidates), distance(own[:, None], items), distance(source[:, None], items)
        )

    def _points(self, asked: Asked) -> list[torch.Tensor]:
        return [in_ball(own) for own in self.readers(asked, self.items.weight)]

    def _hop(self, asked: Asked) -> torch.Tensor:
        """[B, d] the mean of f(i) over the source items of each reader."""
        present, places = torch.unique(torch.cat([asked.items[0].new_zeros(1), asked.items[0]]), return_inverse=True)
        mapped = self.map(in_ball(self.items(present)))
        return means(Asked((places[1:], places[1:]), asked.starts, None), mapped)[0]


def in_ball(points: torch.Tensor) -> torch.Tensor:
    """Points further out than 1 are drawn back to the surface."""
    return points / points.norm(dim=-1, keepdim=True).clamp(min=1.0)


def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean."""
    return (one - other).square().sum(-1)
