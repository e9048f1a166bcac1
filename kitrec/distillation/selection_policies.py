"""Which rows of a batch are distilled. A new policy is one more class here or in any module that is imported.

all                 every row that has a list
teacher_confident   the share of the teacher's lists whose surest item has the least distance
student_uncertain   the share of the batch's rows where the student's own scores have the highest entropy
random_fraction     a share of the teacher's lists, drawn once from the seed"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.distillation.alignment import Lists
from kitrec.distillation.losses import CHUNK, all_scores
from kitrec.distillation.params import Selection
from kitrec.recommenders.losses import Output


class Student:
    """What the student thinks right now of each row of a batch; nothing is learned from looking."""

    def __init__(self, states: torch.Tensor, output: Output) -> None:
        self.states, self.output = states.detach(), output

    @torch.no_grad()
    def entropy(self) -> np.ndarray:
        """[n] of the softmax over all items."""
        found = [self._entropy(part) for part in self.states.split(CHUNK)]
        return torch.cat(found).cpu().numpy()

    @torch.no_grad()
    def lists(self, items: torch.Tensor) -> torch.Tensor:
        """[n, K] whether each of a row's K items is among the student's own first K; equal scores count as among."""
        found, topk = [], min(items.shape[1], len(self.output[0]))
        for states, own in zip(self.states.split(CHUNK), items.split(CHUNK), strict=True):
            scores = all_scores(states, self.output)
            found.append(scores.gather(1, own) >= scores.topk(topk, sorted=True).values[:, -1:])
        return torch.cat(found)

    def _entropy(self, states: torch.Tensor) -> torch.Tensor:
        logs = all_scores(states, self.output).log_softmax(1)
        return -(logs.exp() * logs).sum(1)


class SelectionPolicy(ABC):
    name: ClassVar[str]

    def __init__(self, fraction: float, lists: Lists, seed: int) -> None:
        self.fraction, self.lists, self.seed = fraction, lists, seed
        self.own = lists.of_place[lists.of_place >= 0]  # the lines of the student's rows, in the order of the rows

    @abstractmethod
    def choose(self, lines: np.ndarray, student: Student) -> np.ndarray:
        """[n] whether to distil each row of a batch, from the numbers of their lists and the student's view."""

    def lines(self, worth: np.ndarray) -> np.ndarray:
        """[R] whether each line is in that share, from the worth of the student's own lines; no other line is."""
        chosen = np.zeros(len(self.lists.items), dtype=bool)
        chosen[self.own[self.most(worth)]] = True
        return chosen

    def most(self, worth: np.ndarray) -> np.ndarray:
        """[n] whether each is in the share of highest worth; equal ones in their order."""
        chosen = np.zeros(len(worth), dtype=bool)
        chosen[np.argsort(-worth, kind="stable")[: math.ceil(self.fraction * len(worth))]] = True
        return chosen


class All(SelectionPolicy):
    name = "all"

    def choose(self, lines: np.ndarray, student: Student) -> np.ndarray:  # noqa: ARG002
        return np.ones(len(lines), dtype=bool)


class TeacherConfident(SelectionPolicy):
    name = "teacher_confident"

    def __init__(self, fraction: float, lists: Lists, seed: int) -> None:
        super().__init__(fraction, lists, seed)
        self.sure = self.lines(-lists.distances.min(axis=1)[self.own])

    def choose(self, lines: np.ndarray, student: Student) -> np.ndarray:  # noqa: ARG002
        return self.sure[lines]


class StudentUncertain(SelectionPolicy):
    name = "student_uncertain"

    def choose(self, lines: np.ndarray, student: Student) -> np.ndarray:  # noqa: ARG002
        return self.most(student.entropy())


class RandomFraction(SelectionPolicy):
    name = "random_fraction"

    def __init__(self, fraction: float, lists: Lists, seed: int) -> None:
        super().__init__(fraction, lists, seed)
        self.drawn = self.lines(generator(seed, "distill random_fraction").random(len(self.own)))

    def choose(self, lines: np.ndarray, student: Student) -> np.ndarray:  # noqa: ARG002
        return self.drawn[lines]


def policy(p: Selection, lists: Lists, seed: int) -> SelectionPolicy:
    """The policy of a name."""
    known = {own.name: own for own in SelectionPolicy.__subclasses__()}
    if p.policy not in known:
        raise InputError(f"selection.policy: there is no {p.policy!r}; there are {', '.join(known)}")
    return known[p.policy](p.fraction, lists, seed)
