"""Curriculum of the pre-training: the batch of every step, of list tasks, history tasks or whole prompts; it depends on
seed and step alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from kitrec.core.domains import KITREC
from kitrec.core.randomness import generator
from kitrec.prompts.thought_marks import THINK
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.build import SyntheticWorld
from kitrec.synthetic.teacher import TemplateTeacher
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_world
from kitrec.tinybase.tasks import ItemsByDomain, TextSpan, history_task, list_task

STEPS_PER_WORLD = 25
Row = tuple[list[int], list[bool]]


@dataclass(frozen=True)
class CurriculumBatch:
    """Batch of one task: token ids [B, L], padded on the right, and the mask of tokens that the loss is computed on."""

    task: str
    input_ids: torch.Tensor
    loss_mask: torch.Tensor
    n_tokens: int


class Curriculum:
    """Batches of all steps."""

    def __init__(self, seed: int, p: TinyBase, encoder: Encoder, pad_id: int) -> None:
        self._seed, self._p, self._encoder, self._pad_id = seed, p, encoder, pad_id
        self._world = lru_cache(2)(lambda number: rehearsal_world(seed, number, p))
        self._prompts = lru_cache(4)(self._encoded_prompts)
        self._items = lru_cache(4)(lambda number: _items_and_teacher(self._world(number)))

    def batch(self, step: int) -> CurriculumBatch:
        """Return the batch of a step (from 1)."""
        rng, phase = generator(self._seed, "lesson", step), self._p.phase_at(step)
        number, kind = step // STEPS_PER_WORLD, rng.random()
        if kind < phase.list_task_share:
            lines = int(rng.integers(phase.min_lines, phase.max_lines + 1))
            return self._collate("lists", lambda: self._list_row(rng, number, lines, phase.choices_per_list))
        if kind < phase.list_task_share + phase.history_task_share:
            return self._collate("histories", lambda: self._history_row(rng, number))
        candidates = int(rng.choice(phase.candidates))
        prompts = self._prompts(number, candidates)
        return self._collate("prompts", lambda: prompts[rng.integers(len(prompts))])

    def _list_row(self, rng: np.random.Generator, number: int, lines: int, choices: int) -> Row:
        items, teacher = self._items(number)
        domain_items = items[str(rng.choice([*KITREC.names]))]
        return self._encoded(list_task(rng, domain_items, lines, choices, teacher))

    def _history_row(self, rng: np.random.Generator, number: int) -> Row:
        items, teacher = self._items(number)
        return self._encoded(history_task(rng, items, teacher, self._p.world.theme_strength))

    def _encoded(self, spans: Iterable[TextSpan]) -> Row:
        row: Row = ([], [])
        for text, is_target in spans:
            ids = self._encoder.marks.think if text == THINK else self._encoder.plain(text)
            row[0].extend(ids)
            row[1].extend([is_target] * len(ids))
        return row

    def _encoded_prompts(self, number: int, candidates: int) -> list[Row]:
        rows = []
        for prompt, output, thinking in rehearsal_samples(self._seed, number, self._p, self._world(number), candidates):
            prompt_ids = self._encoder.prompt(prompt, thinking=thinking)
            answer_ids = self._encoder.answer(output, thinking=thinking)
            rows.append((prompt_ids + answer_ids, [False] * len(prompt_ids) + [True] * len(answer_ids)))
        return rows

    def _collate(self, task: str, draw: Callable[[], Row]) -> CurriculumBatch:
        """Draw rows until the batch has enough tokens, and pad them."""
        rows: list[Row] = []
        tokens = 0
        while tokens < self._p.batch_tokens:
            rows.append(draw())
            tokens += len(rows[-1][0])
        longest = max(len(ids) for ids, _ in rows)
        input_ids = np.full((len(rows), longest), self._pad_id)
        loss_mask = np.zeros((len(rows), longest), dtype=bool)
        for k, (ids, mask) in enumerate(rows):
            input_ids[k, : len(ids)], loss_mask[k, : len(ids)] = ids, mask
        return CurriculumBatch(task, torch.from_numpy(input_ids), torch.from_numpy(loss_mask), tokens)


def _items_and_teacher(world: SyntheticWorld) -> tuple[ItemsByDomain, TemplateTeacher]:
    """Return the items of each domain, and the teacher of the world."""
    domains = world.items.partition_by("domain", as_dict=True)
    return {domain: domains[(domain,)].to_dicts() for domain in KITREC.names}, TemplateTeacher(
        world.themes, world.items
    )
