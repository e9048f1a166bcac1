"""What training a student alone and with a teacher share: every seed, the curves, the numbers."""

from pathlib import Path

import polars as pl

from kitrec.core import files
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.student_training import Student, Teacher
from kitrec.distillation.students import Learned, learn
from kitrec.training.progress import bar
from stages.lib import runner


def study(
    name: str,
    p: StudentConfig,
    given: Learned,
    teacher: Teacher | None,
    seeds: list[int],
    run: runner.Run,
    *,
    quiet: bool,
) -> None:
    """A student of every seed to data/students/<name>, their curves to plots/, their numbers to metrics/train/."""
    students: list[Student] = []
    with files.atomic(Path("data/students") / name) as to:
        for number, seed in enumerate(seeds):
            with bar(f"{name}, seed {number}", p.student.training.epochs, quiet=quiet) as told:
                students.append(learn(p, given, teacher, seed, run.work / str(number), told, to / str(number)))
    rows = [{"seed": number, **row} for number, own in enumerate(students) for row in own.fitted.progress.rows]
    with files.atomic(Path(f"plots/students/{name}.csv")) as draft:
        pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6)).write_csv(draft)
    run.cost["training_seconds"] = round(sum(own.seconds for own in students), 2)
    best = sum(own.fitted.progress.best for own in students) / len(students)
    told_ = {"seeds": len(seeds), f"validation_ndcg@{p.depth}": round(best, 6), "teacher": students[0].told}
    files.write_json(told_, Path(f"metrics/train/student-{name}.json"))
