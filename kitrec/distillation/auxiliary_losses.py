"""What distillation adds to the loss of a batch: each part is one more term of the training loop.

    loss = base + alpha dros(next item) + weight sum over k of w_k (ranking_k + alpha dros_k) + weight distance
A part is a mean over the targets of the batch: a target without a list, or one that the policy left out, adds nothing.
Negatives of the ranking term are its own draws, from the seed, the epoch and the batch, so that a student with and one
without a teacher see the same batches, masks, dropout and negatives."""

from dataclasses import dataclass

import numpy as np
import torch

from kitrec.core.randomness import generator
from kitrec.distillation import losses
from kitrec.distillation.alignment import Lists
from kitrec.distillation.importance import importance
from kitrec.distillation.item_vector_transfer import Projection, item_table
from kitrec.distillation.params import Distill, Robust
from kitrec.distillation.selection_policies import SelectionPolicy, Student
from kitrec.recommenders.data.negatives import own_negatives
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.sequence_training import AuxiliaryLoss, TrainedBatch


@dataclass(frozen=True)
class Balanced:
    """DROS of the items that really came next."""

    model: Recommender
    share: torch.Tensor
    p: Robust

    def __call__(self, taught: TrainedBatch) -> torch.Tensor:
        own = taught.lesson
        found = losses.dros(own.states.float(), own.wanted[:, None], self.model.output(), self.share, self.p.beta)
        return self.p.alpha * found.mean()


@dataclass(frozen=True)
class Ranked:
    """The teacher's lists as weighted positives."""

    model: Recommender
    sequences: Sequences
    lists: Lists
    policy: SelectionPolicy
    share: torch.Tensor
    p: Distill
    seed: int

    def __call__(self, taught: TrainedBatch) -> torch.Tensor:
        own, output = taught.lesson, self.model.output()
        places = self.sequences.starts[taught.sequences[own.users]] + own.places
        lines = np.where(own.places >= 0, self.lists.of_place[places], -1)
        rows = np.flatnonzero(lines >= 0)
        if len(rows):
            student = Student(own.states[torch.from_numpy(rows)].float(), output)
            rows = rows[self.policy.choose(lines[rows], student)]
        if not len(rows):
            return own.states.new_zeros(())
        return self.p.ranking.weight * self._sum(taught, rows, lines[rows]) / len(own.wanted)

    def _sum(self, taught: TrainedBatch, rows: np.ndarray, lines: np.ndarray) -> torch.Tensor:
        output, device = self.model.output(), taught.lesson.states.device
        states = taught.lesson.states[torch.from_numpy(rows).to(device)].float()
        items = torch.from_numpy(np.maximum(self.lists.items[lines] - 1, 0)).to(device)
        distances = torch.from_numpy(self.lists.distances[lines]).to(device)
        wanted = self.p.ranking.importance
        agreed = (
            Student(states, output).lists(items) if wanted.consistency else torch.zeros_like(items, dtype=torch.bool)
        )
        weights = importance(distances, agreed, wanted)
        if self.p.student.loss.kind == "ce":
            heard = weights.sum(1) > 0
            found = losses.ranking_ce(states[heard], items[heard], weights[heard], output)
        else:
            negatives = torch.from_numpy(self._negatives(taught, rows)).to(device)
            found = losses.ranking_bce(states, items, weights, output, negatives).sum()
        if self.p.robust.alpha:
            robust = losses.dros(states, items, output, self.share, self.p.robust.beta)
            found = found + self.p.robust.alpha * (weights * robust).sum()
        return found

    def _negatives(self, taught: TrainedBatch, rows: np.ndarray) -> np.ndarray:
        """[n, k] numbered from 0: items that the row's reader never had."""
        rng = generator(self.seed, "distill negatives", taught.epoch, taught.batch)
        own, count = self.sequences.take(taught.sequences), self.p.student.loss.negatives
        return own_negatives(rng, own, taught.lesson.users[rows], len(self.model.output()[0]), count) - 1


@dataclass(frozen=True)
class Near:
    """The student's item vectors beside the projected teacher's, of the batch's items that have one."""

    model: Recommender
    projection: Projection
    weight: float

    def __call__(self, taught: TrainedBatch) -> torch.Tensor:
        items = taught.lesson.wanted.unique() + 1
        items = items[self.projection.known[items]]
        if not len(items):
            return taught.lesson.states.new_zeros(())
        return self.weight * losses.distance(item_table(self.model).weight[items], self.projection.of(items))


def summed(parts: list[AuxiliaryLoss]) -> AuxiliaryLoss | None:
    """All parts as one term in full precision; None where there is none."""
    if not parts:
        return None

    def together(taught: TrainedBatch) -> torch.Tensor:
        with torch.autocast(taught.lesson.states.device.type, enabled=False):
            return torch.stack([part(taught).float() for part in parts]).sum()

    return together
