"""A student, with a teacher or alone, from the readers' tables, and as a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.distillation.alignment import KeyedSequences, full_sequences
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.student_training import Student, Students, Teacher
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.user_histories import History, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.sequence_learning import validation
from kitrec.recommenders.sequence_storage import Stored, save_model
from kitrec.recommenders.sequence_training import Progress, Validation


@dataclass(frozen=True)
class Learned:
    """What students learn from and are chosen by; nothing of the test."""

    rows: KeyedSequences
    vocabulary: Vocabulary
    validation: Validation


def learned_from(train: pl.DataFrame, development: pl.DataFrame, history: History, depth: int) -> Learned:
    """The training readers' sequences; the development readers' held-out items."""
    vocabulary, who = Vocabulary(train["item_id"]), user_targets(train)
    judged = validation(development, history, vocabulary)
    rows = full_sequences(training_sequences(train, who, history, vocabulary), who)
    return Learned(rows, vocabulary, Validation(judged.histories, judged.truths, depth))


def learn(
    p: StudentConfig,
    given: Learned,
    teacher: Teacher | None,
    seed: int,
    work: Path,
    told: Callable[[Progress], None],
    to: Path,
) -> Student:
    """Train a student and store it as `to`."""
    students = Students(p, given.rows, given.vocabulary, given.validation, seed)
    student = students.baseline(work, told) if teacher is None else students.distilled(teacher, work, told)
    _store(p.student, student, given, to)
    return student


def _store(p: SequenceMethod, student: Student, given: Learned, to: Path) -> None:
    popularity = np.bincount(given.rows.sequences.items, minlength=len(given.vocabulary) + 1).astype(np.float32)
    chosen = {name: round(value, 6) for name, value in student.fitted.told().items()}
    save_model(Stored(student.fitted.model, given.vocabulary, popularity, chosen), p.model, ItemFeatures(), to)
