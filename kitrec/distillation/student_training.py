"""Students of the same seed: a baseline without a teacher, and distilled ones with a teacher each.

All start from the same weights and see the same batches, masks, dropout and negatives; the validation chooses the best
epoch of each, at the same depth. An interrupted training resumes from its checkpoint; its seconds add up over all its
starts."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.distillation import auxiliary_losses, losses
from kitrec.distillation.alignment import Lists, Rows, align
from kitrec.distillation.item_embeddings import Embeddings, by_number
from kitrec.distillation.item_vector_transfer import inject, item_table, project_beside, settled
from kitrec.distillation.params import Distill
from kitrec.distillation.selection_policies import policy
from kitrec.recommenders.data.target_batches import learnable
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.sequence_training import (
    AuxiliaryLoss,
    Validation,
    fit_sequence_model,
    init_training,
    new_model,
)
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import Progress, TrainingResult


@dataclass(frozen=True)
class Teacher:
    lists: pl.DataFrame  # a TEACHER table
    embeddings: Embeddings | None


@dataclass(frozen=True)
class Student:
    """A student with its best weights: a plain model, with or without a teacher."""

    result: TrainingResult[Recommender]
    seconds: float
    alignment: dict[str, int]  # counts of the teacher's lists beside the rows; empty without a teacher


@dataclass(frozen=True)
class Students:
    """The data and settings that both students of a seed share."""

    p: Distill
    rows: Rows
    vocabulary: Vocabulary
    validation: Validation
    seed: int

    def train_baseline(self, work: Path, on_epoch_end: OnEpochEnd) -> Student:
        """Train the student without a teacher."""
        model = self._model()
        return self._train(model, self._robust(model), {}, work, on_epoch_end)

    def train_distilled(self, teacher: Teacher, work: Path, on_epoch_end: OnEpochEnd) -> Student:
        """Train the student with a teacher."""
        lists = align(teacher.lists, self.rows, self.vocabulary, self.p.ranking.topk, self.p.gaps)
        model = self._model()
        parts = [*self._robust(model), *self._ranked(model, lists), *self._embedded(model, teacher.embeddings)]
        with_vector = [] if teacher.embeddings is None else teacher.embeddings.item_ids
        missing = {"items without a teacher's vector": len(set(self.vocabulary.item_ids) - set(with_vector))}
        return self._train(model, parts, lists.told | missing, work, on_epoch_end)

    def _model(self) -> Recommender:
        return new_model(self.p.student.model, len(self.vocabulary), self.seed)

    def _train(
        self,
        model: Recommender,
        parts: list[AuxiliaryLoss],
        alignment: dict[str, int],
        work: Path,
        on_epoch_end: OnEpochEnd,
    ) -> Student:
        validation, p = replace(self.validation, depth=self.p.depth), self.p.student
        state = init_training(model, p.course, distributed_context())
        clock = _Clock(work / "seconds.json")

        def on_epoch_end_timed(progress: Progress) -> None:
            clock.save()
            on_epoch_end(progress)

        auxiliary_loss = auxiliary_losses.summed(parts)
        result = fit_sequence_model(
            state,
            self.rows.sequences,
            validation,
            p.course,
            p.loss,
            self.seed,
            work,
            on_epoch_end_timed,
            auxiliary_loss,
        )
        result = TrainingResult(settled(result.model), result.progress, result.last)
        return Student(result, clock.seconds, alignment)

    def _robust(self, model: Recommender) -> list[AuxiliaryLoss]:
        return [auxiliary_losses.Balanced(model, self._share(), self.p.robust)] if self.p.robust.alpha else []

    def _ranked(self, model: Recommender, lists: Lists) -> list[AuxiliaryLoss]:
        if not self.p.ranking.weight:
            return []
        selection = policy(self.p.selection, lists, self.seed)
        useful = learnable(model, self.rows.sequences)  # batches number the learnable sequences
        sequences = self.rows.sequences.take(useful)
        return [
            auxiliary_losses.Ranked(
                model, sequences, _of(lists, self.rows, useful), selection, self._share(), self.p, self.seed
            )
        ]

    def _embedded(self, model: Recommender, vectors: Embeddings | None) -> list[AuxiliaryLoss]:
        if self.p.embedding.form == "off" or (vectors is None and self.p.gaps == "mask"):
            return []
        if vectors is None:
            raise InputError("embedding.form: the teacher has no item vectors; set form: off, or export them")
        missing = sorted(set(self.vocabulary.item_ids) - set(vectors.item_ids))
        if missing and self.p.gaps == "refuse":
            raise InputError(
                f"the teacher has no vector of {len(missing)} of the student's {len(self.vocabulary)} items, "
                f"{missing[0]} among them: export them, or set gaps: mask"
            )
        table = by_number(vectors, self.vocabulary, item_table(model).num_embeddings)
        if self.p.embedding.form == "injection":
            inject(model, table, self.p.embedding.weight, self.seed)
            return []
        return [auxiliary_losses.Near(model, project_beside(model, table, self.seed), self.p.embedding.weight)]

    def _share(self) -> torch.Tensor:
        """Popularity of the next items, the weights of DROS."""
        sequences = self.rows.sequences
        first = np.zeros(len(sequences.items), dtype=bool)
        first[sequences.starts[:-1][sequences.lengths > 0]] = True
        counts = np.bincount(sequences.items[~first] - 1, minlength=len(self.vocabulary))
        return losses.shares(torch.from_numpy(counts).float(), self.p.robust.power).to(distributed_context().device)


def _of(lists: Lists, rows: Rows, which: np.ndarray) -> Lists:
    """The teacher's lists of some sequences."""
    numbered = type(rows.sequences)(np.arange(len(rows.sequences.items)), rows.sequences.starts).take(which)
    return Lists(lists.of_place[numbered.items], lists.items, lists.distances, lists.told)


class _Clock:
    """Seconds of a training, summed over all its starts."""

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.perf_counter()
        self._before = files.read_json(path) if path.exists() else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def save(self) -> None:
        files.write_json(round(self.seconds, 3), self._path)
