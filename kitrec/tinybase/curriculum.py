"""The lesson of every step: drills or whole prompts, by the curriculum; it depends on seed and step only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from kitrec.core.domains import LABELS
from kitrec.core.randomness import generator
from kitrec.prompts.tokens import THINK, Encoder
from kitrec.synthetic.build import SyntheticWorld
from kitrec.synthetic.teacher import TemplateTeacher
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_world
from kitrec.tinybase.tasks import DomainItems, TextSpan, history_task, list_task

STEPS_PER_WORLD = 25
Row = tuple[list[int], list[bool]]


@dataclass(frozen=True)
class CurriculumBatch:
    """Token ids [B, L], padded on the right, and which of them are learned."""

    name: str
    ids: torch.Tensor
    learned: torch.Tensor
    tokens: int


class Curriculum:
    """lesson(step) for every step of the curriculum."""

    def __init__(self, seed: int, p: TinyBase, encoder: Encoder, pad_id: int) -> None:
        self._seed, self._p, self._encoder, self._pad_id = seed, p, encoder, pad_id
        self._world = lru_cache(2)(lambda number: rehearsal_world(seed, number, p))
        self._prompts = lru_cache(4)(self._encoded_prompts)
        self._shelves = lru_cache(4)(lambda number: _shelves(self._world(number)))

    def lesson(self, step: int) -> CurriculumBatch:
        """The batch of a step (from 1)."""
        rng, phase = generator(self._seed, "lesson", step), self._p.phase_at(step)
        number, kind = step // STEPS_PER_WORLD, rng.random()
        if kind < phase.list_tasks:
            lines = int(rng.integers(phase.min_lines, phase.max_lines + 1))
            return self._batch("lists", lambda: self._list_drill(rng, number, lines, phase.questions))
        if kind < phase.list_tasks + phase.history_tasks:
            return self._batch("histories", lambda: self._history_drill(rng, number))
        candidates = int(rng.choice(phase.candidates))
        prompts = self._prompts(number, candidates)
        return self._batch("prompts", lambda: prompts[rng.integers(len(prompts))])

    def _list_drill(self, rng: np.random.Generator, number: int, lines: int, questions: int) -> Row:
        shelves, teacher = self._shelves(number)
        shelf = shelves[str(rng.choice([*LABELS]))]
        return self._encoded(list_task(rng, shelf, lines, questions, teacher))

    def _history_drill(self, rng: np.random.Generator, number: int) -> Row:
        shelves, teacher = self._shelves(number)
        return self._encoded(history_task(rng, shelves, teacher, self._p.world.theme_strength))

    def _encoded(self, pieces: Iterable[TextSpan]) -> Row:
        row: Row = ([], [])
        for text, learned in pieces:
            ids = [self._encoder.think] if text == THINK else self._encoder.plain(text)
            row[0].extend(ids)
            row[1].extend([learned] * len(ids))
        return row

    def _encoded_prompts(self, number: int, candidates: int) -> list[Row]:
        rows = []
        for prompt, output, thinking in rehearsal_samples(self._seed, number, self._p, self._world(number), candidates):
            question = self._encoder.prompt(prompt, thinking=thinking)
            answer = self._encoder.answer(output, thinking=thinking)
            rows.append((question + answer, [False] * len(question) + [True] * len(answer)))
        return rows

    def _batch(self, name: str, draw: Callable[[], Row]) -> CurriculumBatch:
        rows: list[Row] = []
        tokens = 0
        while tokens < self._p.batch_tokens:
            rows.append(draw())
            tokens += len(rows[-1][0])
        longest = max(len(ids) for ids, _ in rows)
        ids, learned = np.full((len(rows), longest), self._pad_id), np.zeros((len(rows), longest), dtype=bool)
        for k, (row, mask) in enumerate(rows):
            ids[k, : len(row)], learned[k, : len(row)] = row, mask
        return CurriculumBatch(name, torch.from_numpy(ids), torch.from_numpy(learned), tokens)


def _shelves(world: SyntheticWorld) -> tuple[DomainItems, TemplateTeacher]:
    """The items of each domain, and the teacher who knows them."""
    domains = world.items.partition_by("domain", as_dict=True)
    return {domain: domains[(domain,)].to_dicts() for domain in LABELS}, TemplateTeacher(world.themes, world.items)
