"""Train a student, distilled or baseline, on the users' tables and store it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.distillation.alignment import Rows, whole
from kitrec.distillation.params import Distill
from kitrec.distillation.student_training import Student, Students, Teacher
from kitrec.recommenders.data.user_histories import History, readers, with_truths
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import Method
from kitrec.recommenders.sequence_training import Validation
from kitrec.recommenders.storage import StoredModel, save_model
from kitrec.recommenders.train import development_validation
from kitrec.training.loop import OnEpochEnd


@dataclass(frozen=True)
class StudentData:
    """The training sequences and the validation of students; nothing of the test."""

    rows: Rows
    vocabulary: Vocabulary
    validation: Validation


def student_data(train: pl.DataFrame, development: pl.DataFrame, history: History, depth: int) -> StudentData:
    """The training users' sequences; the development users' held-out items."""
    vocabulary, users = Vocabulary(train["item_id"]), readers(train)
    validation = development_validation(development, history, vocabulary)
    rows = whole(with_truths(train, users, history, vocabulary), users)
    return StudentData(rows, vocabulary, replace(validation, depth=depth))


def train_student(
    p: Distill,
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
    _store(p.student, student, data, to)
    return student


def _store(p: Method, student: Student, data: StudentData, to: Path) -> None:
    popularity = np.bincount(data.rows.sequences.items, minlength=len(data.vocabulary) + 1).astype(np.float32)
    metrics = {name: round(value, 6) for name, value in student.result.metrics().items()}
    save_model(StoredModel(student.result.model, data.vocabulary, popularity, metrics), p.model, to)
