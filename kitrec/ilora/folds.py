"""Folds of a teacher's training users: each row gets its list from a teacher that did not learn from its user.

teacher.json, ...      the teacher of all users: it ranks the test and gives the item vectors, which belong to no row
folds/users.parquet    the fold of every training user
folds/0/encoder/       the sequence model fitted without the users of fold 0: its candidates, vectors and gates
folds/0/teacher/       the teacher trained with it, on the same other users; then 1, 2, ...
Without folds there is the first alone, and it ranks the rows that it learned from."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.core.tables import Table
from kitrec.distillation.folds import assign_folds
from kitrec.ilora.storage import params_of
from kitrec.recommenders.data.user_histories import user_targets

FOLDS, USERS, ENCODER, TEACHER = "folds", "users.parquet", "encoder", "teacher"
FOLD_OF_USER = Table("teacher_folds", {"user_id": pl.String, "fold": pl.Int32}, key=("user_id",))


@dataclass(frozen=True)
class RowsOfTeacher:
    """Tasks, the folder of the teacher that ranks them, and that of its sequence model."""

    name: str
    teacher: Path
    encoder: Path
    tasks: pl.DataFrame


def fold_of_users(interactions: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """Return the fold of every user with a held-out item; an ensemble of this seed has the same."""
    users = user_targets(interactions)["user_id"].unique().sort()
    return pl.DataFrame({"user_id": users, "fold": pl.Series(assign_folds(users, count, seed), dtype=pl.Int32)})


def rows_by_teacher(folder: Path, encoder: Path, tasks: pl.DataFrame) -> list[RowsOfTeacher]:
    """Split tasks of training users by the teacher of `folder` that may rank them; its sequence model is `encoder`."""
    count = params_of(folder).folds
    if count == 1:
        return [RowsOfTeacher("steps", folder, encoder, tasks)]
    users = tables.read(folder / FOLDS / USERS, FOLD_OF_USER)
    folds = tasks.join(users, on="user_id", how="left", maintain_order="left")["fold"]
    if folds.null_count():
        user = tasks.filter(folds.is_null())["user_id"][0]
        raise InputError(f"{folder} has no fold of user {user}: it was trained for other users; train it again")
    parts = []
    for fold in range(count):
        of_fold = folder / FOLDS / str(fold)
        parts.append(RowsOfTeacher(f"fold-{fold}", of_fold / TEACHER, of_fold / ENCODER, tasks.filter(folds == fold)))
    return parts
