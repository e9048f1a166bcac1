"""Policies that select the rows of a batch to distil. A new one is a subclass, here or in any imported module.

all                 every row that has a list
teacher_confident   the fraction of the teacher's lists whose most confident item has the smallest distance
student_uncertain   the fraction of the batch's rows whose student scores have the highest entropy
random_fraction     a fraction of the teacher's lists, drawn once from the seed"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.distillation.alignment import AlignedLists
from kitrec.distillation.losses import CHUNK, all_scores
from kitrec.distillation.params import Selection
from kitrec.recommenders.losses import Output


class StudentScores:
    """The student's current scores of the rows of a batch, without gradients."""

    def __init__(self, states: torch.Tensor, output: Output) -> None:
        self.states, self.output = states.detach(), output

    @torch.no_grad()
    def entropy(self) -> np.ndarray:
        """Return the entropy [n] of the softmax over all items."""
        parts = [self._entropy(part) for part in self.states.split(CHUNK)]
        return torch.cat(parts).cpu().numpy()

    @torch.no_grad()
    def in_topk(self, items: torch.Tensor) -> torch.Tensor:
        """Return [n, K] whether each of a row's K items is in the student's own top K, ties included."""
        parts, topk = [], min(items.shape[1], len(self.output[0]))
        for states, rows in zip(self.states.split(CHUNK), items.split(CHUNK), strict=True):
            scores = all_scores(states, self.output)
            parts.append(scores.gather(1, rows) >= scores.topk(topk, sorted=True).values[:, -1:])
        return torch.cat(parts)

    def _entropy(self, states: torch.Tensor) -> torch.Tensor:
        logs = all_scores(states, self.output).log_softmax(1)
        return -(logs.exp() * logs).sum(1)


class SelectionPolicy(ABC):
    name: ClassVar[str]

    def __init__(self, fraction: float, lists: AlignedLists, seed: int) -> None:
        self.fraction, self.lists, self.seed = fraction, lists, seed
        # lists of the student's rows, in the order of the rows
        self.student_lists = lists.list_of_position[lists.list_of_position >= 0]

    @abstractmethod
    def choose(self, lists: np.ndarray, student: StudentScores) -> np.ndarray:
        """Return [n] whether to distil each row of a batch, given the indices of their lists and the scores."""

    def mask_lists(self, values: np.ndarray) -> np.ndarray:
        """Return [R] whether each list is in the fraction of highest value; `values` are of the student's lists."""
        chosen = np.zeros(len(self.lists.items), dtype=bool)
        chosen[self.student_lists[self.highest(values)]] = True
        return chosen

    def highest(self, values: np.ndarray) -> np.ndarray:
        """Return [n] whether each is in the fraction of highest value; ties in their order."""
        chosen = np.zeros(len(values), dtype=bool)
        chosen[np.argsort(-values, kind="stable")[: math.ceil(self.fraction * len(values))]] = True
        return chosen


class All(SelectionPolicy):
    name = "all"

    def choose(self, lists: np.ndarray, student: StudentScores) -> np.ndarray:  # noqa: ARG002
        return np.ones(len(lists), dtype=bool)


class TeacherConfident(SelectionPolicy):
    name = "teacher_confident"

    def __init__(self, fraction: float, lists: AlignedLists, seed: int) -> None:
        super().__init__(fraction, lists, seed)
        self.confident = self.mask_lists(-lists.distances.min(axis=1)[self.student_lists])

    def choose(self, lists: np.ndarray, student: StudentScores) -> np.ndarray:  # noqa: ARG002
        return self.confident[lists]


class StudentUncertain(SelectionPolicy):
    name = "student_uncertain"

    def choose(self, lists: np.ndarray, student: StudentScores) -> np.ndarray:  # noqa: ARG002
        return self.highest(student.entropy())


class RandomFraction(SelectionPolicy):
    name = "random_fraction"

    def __init__(self, fraction: float, lists: AlignedLists, seed: int) -> None:
        super().__init__(fraction, lists, seed)
        rng = generator(seed, "distill random_fraction")
        self.drawn = self.mask_lists(rng.random(len(self.student_lists)))

    def choose(self, lists: np.ndarray, student: StudentScores) -> np.ndarray:  # noqa: ARG002
        return self.drawn[lists]


def build_policy(p: Selection, lists: AlignedLists, seed: int) -> SelectionPolicy:
    """Return the policy of this name."""
    policies = {policy.name: policy for policy in SelectionPolicy.__subclasses__()}
    if p.policy not in policies:
        raise InputError(f"selection.policy: there is no {p.policy!r}; there are {', '.join(policies)}")
    return policies[p.policy](p.fraction, lists, seed)
