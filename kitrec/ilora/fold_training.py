"""Training of the teachers of the folds (folds.py): a sequence model and a teacher for each, on the other users.

Both are trained as those of all users are: the same settings, seed and development users, and a random search where
idrec.trials asks for one; what differs is the rows. Users without a role have no fold, their reviews train every
sequence model that trains on all reviews. A fold that is complete is kept when a killed run starts again, the one
that was in training resumes from its newest checkpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.ilora.folds import ENCODER, FOLD_OF_USER, TEACHER, USERS
from kitrec.ilora.params import Ilora
from kitrec.ilora.training import TrainingData, planned_stretches, train_teacher
from kitrec.llm.base.pinning import PinnedBase
from kitrec.recommenders import train as recommenders
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.storage import load_model
from kitrec.training.state import Progress

OnFoldEpochEnd = Callable[[str, int, Progress], None]  # name of a training, its epochs at most, its progress


@dataclass(frozen=True)
class EncoderTraining:
    """The training of the sequence model behind a teacher: its method, and the data of all users."""

    name: str
    method: SequenceMethod
    trials: int
    data: recommenders.TrainingData


def train_fold_teachers(
    p: Ilora,
    base: PinnedBase,
    encoder: EncoderTraining,
    data: TrainingData,
    users: pl.DataFrame,
    on_epoch_end: OnFoldEpochEnd,
    to: Path,
) -> dict[str, float]:
    """Train the sequence model and the teacher of every fold into `to`; `users` is a FOLD_OF_USER table.

    Returns the seconds of the folds that this process trained."""
    seconds = {}
    tables.write(users, to / USERS, FOLD_OF_USER)
    for fold in range(p.folds):
        start, folder, work = time.perf_counter(), to / str(fold), data.work / str(fold)
        held_out = users.filter(pl.col("fold") == fold)["user_id"]
        if not (folder / ENCODER).exists():
            show = partial(on_epoch_end, f"fold {fold}, {encoder.name}", encoder.method.training.epochs)
            learned = replace(encoder.data, train=without(encoder.data.train, held_out), work=work / ENCODER)
            recommenders.train_best(encoder.name, encoder.method, encoder.trials, learned, show, folder / ENCODER)
        if not (folder / TEACHER).exists():
            tasks = without(data.train, held_out)
            show = partial(on_epoch_end, f"fold {fold}, teacher", planned_stretches(tasks.height, p.training))
            of_fold = replace(data, train=tasks, work=work / TEACHER)
            train_teacher(p, base, load_model(folder / ENCODER), of_fold, show, folder / TEACHER)
            seconds[str(fold)] = round(time.perf_counter() - start, 2)
    return seconds


def without(rows: pl.DataFrame, users: pl.Series) -> pl.DataFrame:
    """Return the rows of all other users."""
    return rows.filter(~pl.col("user_id").is_in(users.implode()))
