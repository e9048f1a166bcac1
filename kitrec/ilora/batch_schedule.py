"""Which samples an update learns, and which of them show items' words: all from the seed and the update's number."""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from kitrec.core.randomness import generator
from kitrec.ilora.dataset import Lessons
from kitrec.ilora.params import Course, Curriculum
from kitrec.ilora.prompts import text_only
from kitrec.llm.finetuning.dataset import Sample
from kitrec.llm.finetuning.length_buckets import LengthBuckets


class Timetable:
    """The updates 0 ... `updates` - 1 of a course; text-only prompts are those without ids from `words` on."""

    def __init__(self, lessons: Lessons, course: Course, words: int, seed: int) -> None:
        self._lessons, self._course, self._words, self._seed = lessons, course, words, seed
        self._size = course.batch * course.accumulation
        self._epoch = math.ceil(len(lessons) / self._size)
        self.updates = course.epochs * self._epoch
        self._order = lru_cache(maxsize=1)(LengthBuckets(lessons.lengths, course.batch, seed).order)

    def micro_batches(self, number: int) -> Iterator[tuple[list[Sample], torch.Tensor]]:
        """Samples of like length, and what the eyes saw of their readers."""
        rows = self._order(number // self._epoch)[number % self._epoch * self._size :][: self._size]
        hybrid = self._hybrid(number, len(rows))
        for start in range(0, len(rows), self._course.batch):
            part = slice(start, start + self._course.batch)
            pairs = zip(rows[part], hybrid[part], strict=True)
            own = [self._lessons.samples[k] if whole else self._text_only(k) for k, whole in pairs]
            yield own, self._lessons.seen[torch.from_numpy(rows[part])]

    def _hybrid(self, number: int, count: int) -> np.ndarray:
        share = share_hybrid(number / self.updates, self._course.curriculum)
        return generator(self._seed, "hybrid prompts", number).random(count) < share

    def _text_only(self, row: int) -> Sample:
        return text_only(self._lessons.samples[row], self._words)


def share_hybrid(done: float, p: Curriculum) -> float:
    """The share of hybrid prompts when this share of the training is done: 0, a line, 1 (LLaRA's curriculum)."""
    if done >= p.hybrid_from:
        return 1.0
    return max(0.0, done - p.text_until) / max(p.hybrid_from - p.text_until, 1e-9)
