"""What training a student alone and with a teacher share: every seed, the curves, the numbers."""

from pathlib import Path

import polars as pl

from kitrec.core import files
from kitrec.distillation.params import Distill
from kitrec.distillation.student_training import Student, Teacher
from kitrec.distillation.students import StudentData, train_student
from kitrec.training.progress import training_bar
from stages.lib import runner


def study(
    name: str, p: Distill, data: StudentData, teacher: Teacher | None, seeds: list[int], run: runner.Run, *, quiet: bool
) -> None:
    """A student of every seed to data/students/<name>, their curves to plots/, their numbers to metrics/train/."""
    students: list[Student] = []
    with files.whole(Path("data/students") / name) as to:
        for number, seed in enumerate(seeds):
            name_of_seed = f"{name}, seed {number}"
            with training_bar(name_of_seed, p.student.course.epochs, f"ndcg@{p.depth}", quiet=quiet) as on_epoch_end:
                work = run.work / str(number)
                students.append(train_student(p, data, teacher, seed, work, on_epoch_end, to / str(number)))
    rows = [{"seed": number, **row} for number, own in enumerate(students) for row in own.result.progress.rows]
    with files.whole(Path(f"plots/students/{name}.csv")) as draft:
        pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6)).write_csv(draft)
    run.cost["training_seconds"] = round(sum(own.seconds for own in students), 2)
    best = sum(own.result.progress.best for own in students) / len(students)
    told_ = {"seeds": len(seeds), f"validation_ndcg@{p.depth}": round(best, 6), "teacher": students[0].alignment}
    files.write_json(told_, Path(f"metrics/train/student-{name}.json"))
