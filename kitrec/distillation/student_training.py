"""Training of students of the same seed: a baseline without a teacher, and distilled ones with a teacher each.

All start from the same weights and see the same batches, masks, dropout and negatives; the validation chooses the best
epoch of each, at the same depth. An interrupted training resumes from its checkpoint; its seconds add up over all its
starts."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.distillation import losses
from kitrec.distillation.alignment import AlignedLists, KeyedSequences, align, full_sequences
from kitrec.distillation.auxiliary_losses import (
    DROSLoss,
    EmbeddingDistillationLoss,
    RankingDistillationLoss,
    combine_losses,
)
from kitrec.distillation.item_embeddings import ItemEmbeddings, embedding_table
from kitrec.distillation.item_vector_transfer import add_projection, inject, item_table, merge_projection
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.selection_policies import build_policy
from kitrec.recommenders.data.item_domains import item_domains_of
from kitrec.recommenders.data.target_batches import trainable_users
from kitrec.recommenders.data.user_histories import History, target_domains, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.sequence_training import (
    AuxiliaryLoss,
    Validation,
    fit_sequence_model,
    init_training,
    new_model,
)
from kitrec.recommenders.storage import StoredModel, save_model
from kitrec.recommenders.train import development_validation
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import Progress, TrainingResult


@dataclass(frozen=True)
class StudentData:
    """The training sequences and the validation of students; nothing of the test."""

    rows: KeyedSequences
    vocabulary: Vocabulary
    validation: Validation


@dataclass(frozen=True)
class Teacher:
    lists: pl.DataFrame  # a TEACHER_LISTS table
    embeddings: ItemEmbeddings | None


@dataclass(frozen=True)
class Student:
    """A student with its best weights: a plain model, with or without a teacher."""

    result: TrainingResult[Recommender]
    seconds: float
    alignment: dict[str, int]  # counts of the teacher's lists beside the rows; empty without a teacher


def student_data(train: pl.DataFrame, development: pl.DataFrame, history: History, seed: int) -> StudentData:
    """Return the training users' sequences and the development users' held-out items."""
    vocabulary, users = Vocabulary(train["item_id"]), user_targets(train)
    rows = full_sequences(training_sequences(train, users, history, vocabulary), users)
    item_domains = item_domains_of(train, target_domains(train), vocabulary)
    validation = development_validation(development, history, vocabulary, item_domains, seed)
    return StudentData(rows, vocabulary, validation)


def train_student(
    p: StudentConfig,
    data: StudentData,
    teacher: Teacher | None,
    seed: int,
    work: Path,
    on_epoch_end: OnEpochEnd,
    to: Path,
) -> Student:
    """Train a student (without a teacher: the baseline) and store it."""
    students = Students(p, data.rows, data.vocabulary, data.validation, seed)
    if teacher is None:
        student = students.train_baseline(work, on_epoch_end)
    else:
        student = students.train_distilled(teacher, work, on_epoch_end)
    popularity = np.bincount(data.rows.sequences.items, minlength=len(data.vocabulary) + 1).astype(np.float32)
    metrics = {name: round(value, 6) for name, value in student.result.metrics().items()}
    save_model(StoredModel(student.result.model, data.vocabulary, popularity, metrics), p.student.model, to)
    return student


def training_curves(students: Sequence[Student]) -> pl.DataFrame:
    """Return the loss and the validation metrics of every epoch; `seed` counts the students."""
    rows = [{"seed": number, **row} for number, student in enumerate(students) for row in student.result.progress.rows]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))


def training_metrics(students: Sequence[Student], depth: int) -> dict[str, Any]:
    """Return the mean of the best validation NDCG, and the counts of the teacher's lists."""
    best = sum(student.result.progress.best for student in students) / len(students)
    return {"seeds": len(students), f"validation_ndcg@{depth}": round(best, 6), "teacher": students[0].alignment}


@dataclass(frozen=True)
class Students:
    """The data and settings that both students of a seed share."""

    p: StudentConfig
    rows: KeyedSequences
    vocabulary: Vocabulary
    validation: Validation
    seed: int

    def train_baseline(self, work: Path, on_epoch_end: OnEpochEnd) -> Student:
        """Train the student without a teacher."""
        model = self._model()
        return self._train(model, self._dros_losses(model), {}, work, on_epoch_end)

    def train_distilled(self, teacher: Teacher, work: Path, on_epoch_end: OnEpochEnd) -> Student:
        """Train the student with a teacher."""
        lists = align(teacher.lists, self.rows, self.vocabulary, self.p.ranking.topk, self.p.missing)
        model = self._model()
        terms = [
            *self._dros_losses(model),
            *self._ranking_losses(model, lists),
            *self._embedding_losses(model, teacher.embeddings),
        ]
        with_vector = [] if teacher.embeddings is None else teacher.embeddings.item_ids
        missing = {"items without a teacher's vector": len(set(self.vocabulary.item_ids) - set(with_vector))}
        return self._train(model, terms, lists.counts | missing, work, on_epoch_end)

    def _model(self) -> Recommender:
        return new_model(self.p.student.model, len(self.vocabulary), self.seed)

    def _train(
        self,
        model: Recommender,
        terms: list[AuxiliaryLoss],
        alignment: dict[str, int],
        work: Path,
        on_epoch_end: OnEpochEnd,
    ) -> Student:
        validation, method = replace(self.validation, depth=self.p.depth), self.p.student
        state = init_training(model, method.training, distributed_context())
        clock = _Clock(work / "seconds.json")

        def save_seconds(progress: Progress) -> None:
            clock.save()
            on_epoch_end(progress)

        result = fit_sequence_model(
            state,
            self.rows.sequences,
            validation,
            method.training,
            method.loss,
            self.seed,
            work,
            save_seconds,
            combine_losses(terms),
        )
        result = TrainingResult(merge_projection(result.model), result.progress, result.last)
        return Student(result, clock.seconds, alignment)

    def _dros_losses(self, model: Recommender) -> list[AuxiliaryLoss]:
        return [DROSLoss(model, self._popularity_weights(), self.p.dros)] if self.p.dros.alpha else []

    def _ranking_losses(self, model: Recommender, lists: AlignedLists) -> list[AuxiliaryLoss]:
        if not self.p.ranking.weight:
            return []
        policy = build_policy(self.p.selection, lists, self.seed)
        trainable = trainable_users(model, self.rows.sequences)  # batches number these sequences alone
        sequences, weights = self.rows.sequences.take(trainable), self._popularity_weights()
        lists = _take_lists(lists, self.rows, trainable)
        return [RankingDistillationLoss(model, sequences, lists, policy, weights, self.p, self.seed)]

    def _embedding_losses(self, model: Recommender, vectors: ItemEmbeddings | None) -> list[AuxiliaryLoss]:
        p = self.p.embedding
        if p.form == "off" or (vectors is None and self.p.missing == "mask"):
            return []
        if vectors is None:
            raise InputError("embedding.form: the teacher has no item vectors; set form: off, or export them")
        missing = sorted(set(self.vocabulary.item_ids) - set(vectors.item_ids))
        if missing and self.p.missing == "refuse":
            raise InputError(
                f"the teacher has no vector of {len(missing)} of the student's {len(self.vocabulary)} items, "
                f"{missing[0]} among them: export them, or set missing: mask"
            )
        table = embedding_table(vectors, self.vocabulary, item_table(model).num_embeddings)
        if p.form == "injection":
            inject(model, table, p.weight, self.seed)
            return []
        return [EmbeddingDistillationLoss(model, add_projection(model, table, self.seed), p.weight)]

    def _popularity_weights(self) -> torch.Tensor:
        """Return the weights of DROS, from the popularity of the next items."""
        sequences = self.rows.sequences
        first = np.zeros(len(sequences.items), dtype=bool)
        first[sequences.starts[:-1][sequences.lengths > 0]] = True
        counts = np.bincount(sequences.items[~first] - 1, minlength=len(self.vocabulary))
        weights = losses.popularity_weights(torch.from_numpy(counts).float(), self.p.dros.power)
        return weights.to(distributed_context().device)


def _take_lists(lists: AlignedLists, rows: KeyedSequences, which: np.ndarray) -> AlignedLists:
    """Return the teacher's lists of some of the sequences."""
    numbered = type(rows.sequences)(np.arange(len(rows.sequences.items)), rows.sequences.starts).take(which)
    return AlignedLists(lists.list_of_position[numbered.items], lists.items, lists.distances, lists.counts)


class _Clock:
    """Seconds of a training, summed over all its starts."""

    def __init__(self, path: Path) -> None:
        self._path, self._start = path, time.perf_counter()
        self._before = files.read_json(path) if path.exists() else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._start

    def save(self) -> None:
        files.write_json(round(self.seconds, 3), self._path)
