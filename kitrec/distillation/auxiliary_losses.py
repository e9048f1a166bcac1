"""Auxiliary losses of distillation: each is one more term of the loss of a batch.

    loss = base + alpha dros(next item) + weight sum over k of w_k (ranking_k + alpha dros_k) + weight distance
Each is a mean over the targets of the batch: a target without a list, or one that the policy drops, contributes zero.
The ranking loss draws its own negatives, from the seed, the epoch and the batch, so that the baseline and the distilled
student get the same batches, masks, dropout and negatives of the base loss."""

from dataclasses import dataclass

import numpy as np
import torch

from kitrec.core.randomness import generator
from kitrec.distillation import losses
from kitrec.distillation.alignment import AlignedLists
from kitrec.distillation.item_vector_transfer import Projection, item_table
from kitrec.distillation.params import DROS, StudentConfig
from kitrec.distillation.selection_policies import SelectionPolicy, StudentScores
from kitrec.recommenders.data.negatives import negatives_per_target
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.sequence_training import AuxiliaryLoss, TrainedBatch


@dataclass(frozen=True)
class DROSLoss:
    """DROS of the observed next items."""

    model: Recommender
    popularity_weights: torch.Tensor
    p: DROS

    def __call__(self, trained: TrainedBatch) -> torch.Tensor:
        batch = trained.target_batch
        loss = losses.dros(
            batch.states.float(), batch.targets[:, None], self.model.output(), self.popularity_weights, self.p.beta
        )
        return self.p.alpha * loss.mean()


@dataclass(frozen=True)
class RankingDistillationLoss:
    """Importance-aware ranking distillation: the teacher's lists as weighted positives."""

    model: Recommender
    sequences: Sequences
    lists: AlignedLists
    policy: SelectionPolicy
    popularity_weights: torch.Tensor
    p: StudentConfig
    seed: int

    def __call__(self, trained: TrainedBatch) -> torch.Tensor:
        batch, output = trained.target_batch, self.model.output()
        positions = self.sequences.starts[trained.sequences[batch.users]] + batch.positions
        lists = np.where(batch.positions >= 0, self.lists.list_of_position[positions], -1)
        rows = np.flatnonzero(lists >= 0)
        if len(rows):
            student = StudentScores(batch.states[torch.from_numpy(rows)].float(), output)
            rows = rows[self.policy.choose(lists[rows], student)]
        if not len(rows):
            return batch.states.new_zeros(())
        return self.p.ranking.weight * self._sum(trained, rows, lists[rows]) / len(batch.targets)

    def negatives(self, trained: TrainedBatch, rows: np.ndarray) -> np.ndarray:
        """Draw [n, k] items, numbered from 0, that the users of these rows never interacted with."""
        rng = generator(self.seed, "distill negatives", trained.epoch, trained.batch)
        sequences, count = self.sequences.take(trained.sequences), self.p.student.loss.negatives
        return (
            negatives_per_target(rng, sequences, trained.target_batch.users[rows], len(self.model.output()[0]), count)
            - 1
        )

    def _sum(self, trained: TrainedBatch, rows: np.ndarray, lists: np.ndarray) -> torch.Tensor:
        output, device = self.model.output(), trained.target_batch.states.device
        states = trained.target_batch.states[torch.from_numpy(rows).to(device)].float()
        items = torch.from_numpy(np.maximum(self.lists.items[lists] - 1, 0)).to(device)
        distances = torch.from_numpy(self.lists.distances[lists]).to(device)
        p = self.p.ranking.importance
        consistent = (
            StudentScores(states, output).in_topk(items) if p.consistency else torch.zeros_like(items, dtype=torch.bool)
        )
        weights = losses.importance_weights(distances, consistent, p)
        if self.p.student.loss.kind == "ce":
            weighted = weights.sum(1) > 0
            loss = losses.ranking_ce(states[weighted], items[weighted], weights[weighted], output)
        else:
            negatives = torch.from_numpy(self.negatives(trained, rows)).to(device)
            loss = losses.ranking_bce(states, items, weights, output, negatives).sum()
        if self.p.dros.alpha:
            dros = losses.dros(states, items, output, self.popularity_weights, self.p.dros.beta)
            loss = loss + self.p.dros.alpha * (weights * dros).sum()
        return loss


@dataclass(frozen=True)
class EmbeddingDistillationLoss:
    """Distance of the student's item vectors from the projected teacher's, over the items of a batch that have one."""

    model: Recommender
    projection: Projection
    weight: float

    def __call__(self, trained: TrainedBatch) -> torch.Tensor:
        items = trained.target_batch.targets.unique() + 1
        items = items[self.projection.has_vector[items]]
        if not len(items):
            return trained.target_batch.states.new_zeros(())
        return self.weight * losses.distance(item_table(self.model).weight[items], self.projection.project_items(items))


def combine_losses(terms: list[AuxiliaryLoss]) -> AuxiliaryLoss | None:
    """Sum all terms in full precision; return None if there are none."""
    if not terms:
        return None

    def combined(trained: TrainedBatch) -> torch.Tensor:
        with torch.autocast(trained.target_batch.states.device.type, enabled=False):
            return torch.stack([term(trained).float() for term in terms]).sum()

    return combined
