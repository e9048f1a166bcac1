"""Two students from the same seeds: one alone, one with a teacher.

Both begin with the same weights and see the same batches, masks, dropout and negatives; the best epoch of each is
chosen by the validation, at the same depth. A training that broke off goes on where it was, as `idrec.fitting` does;
its seconds are counted over all its starts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from kitrec import files
from kitrec.distill import extras, terms
from kitrec.distill.alignment import Lists, Rows, align
from kitrec.distill.embeddings import Embeddings, by_number
from kitrec.distill.params import Distill
from kitrec.distill.selection import policy
from kitrec.distill.teacher_vectors import inject, item_table, project_beside, settled
from kitrec.errors import InputError
from kitrec.idrec.building import build
from kitrec.idrec.fitting import Fitted, carry_on
from kitrec.idrec.lessons import learnable
from kitrec.idrec.recommender import Recommender
from kitrec.idrec.team import team
from kitrec.idrec.training import Extra, Progress, Validation, Watcher, begin, train
from kitrec.idrec.vocabulary import Vocabulary
from kitrec.randomness import derived_seed


@dataclass(frozen=True)
class Teacher:
    lists: pl.DataFrame  # a TEACHER table
    embeddings: Embeddings | None


@dataclass(frozen=True)
class Student:
    """A student with its best weights: a plain model, whoever taught it."""

    fitted: Fitted[Recommender]
    seconds: float


@dataclass(frozen=True)
class Pair:
    baseline: Student
    distilled: Student
    told: dict[str, int]  # how the teacher fitted the rows


def distil(
    p: Distill,
    rows: Rows,
    vocabulary: Vocabulary,
    teacher: Teacher,
    validation: Validation,
    seed: int,
    work: Path,
    told: Callable[[str, Progress], None],
) -> Pair:
    """Train both students; `told` hears of every epoch of `baseline` and of `distilled`."""
    found = align(teacher.lists, rows, vocabulary, p.ranking.topk, p.gaps)
    fit = _Fitting(p, rows, len(vocabulary), replace(validation, depth=p.depth), seed)
    baseline = fit.student(None, work / "baseline", lambda progress: told("baseline", progress))
    own = _Given(found, teacher.embeddings, vocabulary)
    distilled = fit.student(own, work / "distilled", lambda progress: told("distilled", progress))
    described = [] if teacher.embeddings is None else teacher.embeddings.item_ids
    lacking = len(set(vocabulary.item_ids) - set(described))
    return Pair(baseline, distilled, {**found.told, "items without a teacher's vector": lacking})


@dataclass(frozen=True)
class _Given:
    """A teacher in the student's numbers."""

    lists: Lists
    embeddings: Embeddings | None
    vocabulary: Vocabulary


@dataclass(frozen=True)
class _Fitting:
    p: Distill
    rows: Rows
    items: int
    validation: Validation
    seed: int

    def student(self, teacher: _Given | None, work: Path, told: Callable[[Progress], None]) -> Student:
        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(self.seed, "idrec weights"))
            model = build(self.p.student.model, self.items)
        parts: list[Extra] = self._robust(model)
        if teacher is not None:
            parts += self._taught(model, teacher)
        own = team()
        training = begin(model, self.p.student.course, own)
        training.extra = extras.summed(parts)
        clock = _Clock(work / "seconds.json")

        def learn(keep: Watcher) -> None:
            course, loss = self.p.student.course, self.p.student.loss
            train(training, self.rows.sequences, self.validation, course, loss, self.seed, keep)

        def heard(progress: Progress) -> None:
            clock.note()
            told(progress)

        fitted = carry_on(training, learn, work, heard)
        return Student(Fitted(settled(fitted.model), fitted.progress, fitted.last), clock.seconds)

    def _robust(self, model: Recommender) -> list[Extra]:
        return [extras.Balanced(model, self._share(), self.p.robust)] if self.p.robust.alpha else []

    def _taught(self, model: Recommender, teacher: _Given) -> list[Extra]:
        parts: list[Extra] = []
        if self.p.ranking.weight:
            chosen = policy(self.p.selection, teacher.lists, self.seed)
            useful = learnable(model, self.rows.sequences)  # the loop numbers those that teach
            lists = _of(teacher.lists, self.rows, useful)
            own = self.rows.sequences.take(useful)
            parts.append(extras.Ranked(model, own, lists, chosen, self._share(), self.p, self.seed))
        if self.p.embedding.form == "off":
            return parts
        if teacher.embeddings is None and self.p.gaps == "mask":
            return parts
        if teacher.embeddings is None:
            raise InputError("embedding.form: the teacher has no item vectors; set form: off, or export them")
        table = by_number(teacher.embeddings, teacher.vocabulary, item_table(model).num_embeddings)
        if self.p.embedding.form == "injection":
            inject(model, table, self.p.embedding.weight, self.seed)
        else:
            parts.append(extras.Near(model, project_beside(model, table, self.seed), self.p.embedding.weight))
        return parts

    def _share(self) -> torch.Tensor:
        """Popularity of next items, as DROS weighs by it."""
        own = self.rows.sequences
        first = np.zeros(len(own.items), dtype=bool)
        first[own.starts[:-1][own.lengths > 0]] = True
        counts = np.bincount(own.items[~first] - 1, minlength=self.items)
        return terms.shares(torch.from_numpy(counts).float(), self.p.robust.power).to(team().device)


def _of(lists: Lists, rows: Rows, which: np.ndarray) -> Lists:
    """The lists of some of the sequences."""
    numbered = type(rows.sequences)(np.arange(len(rows.sequences.items)), rows.sequences.starts).take(which)
    return Lists(lists.of_place[numbered.items], lists.items, lists.distances, lists.told)


class _Clock:
    """Seconds of a training, over all its starts."""

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.perf_counter()
        self._before = files.read_json(path) if path.exists() else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def note(self) -> None:
        files.write_json(round(self.seconds, 3), self._path)
