"""What does a reader cost, teacher and student side by side?   python -m bench.distill_cost FOLDER

FOLDER is a checkout in which `kitrec profile use variants=distilled` and `dvc repro rank_student` have run. The iLoRA
teacher (prompts are written before the clock runs) scores each of READERS test readers' likeliest 20 or 100 candidates,
its export's own question; the student as ONNX, 256 readers at a time, ranks all items. One thread each, in turn,
REPEATS times; medians."""

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.claims import Claim, at_least, publish
from kitrec.core import params, tables
from kitrec.core.errors import InputError
from kitrec.distillation.params import Distillation
from kitrec.ilora.dataset import Questions, questions_of
from kitrec.ilora.scoring import likelihoods
from kitrec.ilora.user_tasks import tasks_of_records, with_likely_candidates
from kitrec.onnx.latency import latency
from kitrec.onnx.runtime import Served, load_served
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import History
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.train import development_validation
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SEEN
from stages.lib import paths
from stages.lib.ilora_teacher import Trained, trained_teacher

READERS, REPEATS, CHEAPER = 128, 5, 1000.0
LISTS = (20, 100)  # LLaRA's list and the project's
SERVED, COMMAND = Path("data/serving"), "python -m bench.distill_cost FOLDER"


@dataclass(frozen=True)
class Spent:
    """Milliseconds a reader: the teacher's by number of candidates, the students' by name."""

    teacher: dict[int, float]
    student: dict[str, float]


def main(folder: Path) -> None:
    """Time both in turn, write the claims."""
    torch.set_num_threads(1)
    with contextlib.chdir(folder):
        p = params.load(Distillation, "distillation")
        teachers = [own for own in p.teachers if own.startswith("ilora-")]
        pairs = [f"{own}-{other}" for own in p.students for other in teachers]
        if missing := [own for own in pairs if not (SERVED / own).exists()]:
            raise InputError(f"{folder} serves no {', '.join(missing)}: run `dvc repro rank_student` there")
        readers = {own: p.settings[own].student.history for own in p.students}
        rows = [row for teacher in teachers for row in _rows(teacher, readers)]
    if not rows:
        raise InputError(f"{folder} has no students of an iLoRA teacher: `kitrec profile use variants=distilled` there")
    claims: list[Claim] = [
        at_least(
            f"{row['student']} of {row['teacher']}, {row['candidates']} candidates: cheaper per user",
            row["times_cheaper"],
            CHEAPER,
            "x",
            COMMAND,
            peer="the teacher",
            repeats=REPEATS,
            spread=row["of_the_repeats"],
        )
        for row in rows
    ]
    publish("distill_cost", claims, {"milliseconds a reader": rows})


def _rows(teacher: str, students: dict[str, History]) -> list[dict[str, Any]]:
    """One row for each student (by what it reads of a reader) and length of the list."""
    method = teacher.removeprefix("ilora-")
    trained = trained_teacher(Path("data/ilora") / method, Path("data/idrec") / method)
    asked = {count: _questions(trained, method, count) for count in LISTS}
    seen, served = tables.read(paths.interactions("test"), SEEN), dict[str, tuple[Served, Sequences]]()
    for own, history in students.items():
        model = load_served(SERVED / f"{own}-{teacher}")
        served[own] = model, development_validation(seen, history, model.vocabulary).histories
    repeats = [_once(trained, asked, served) for _ in range(REPEATS)]
    return [
        {"student": own, "teacher": teacher, "candidates": count} | _row(asked[count], repeats, own, count)
        for own in students
        for count in LISTS
    ]


def _row(asked: Questions, repeats: list[Spent], student: str, count: int) -> dict[str, Any]:
    ratios = [own.teacher[count] / own.student[student] for own in repeats]
    return {
        "tokens": round(float(np.mean([len(own.text) for own in asked.asked]))),
        "teacher_ms": round(float(np.median([own.teacher[count] for own in repeats])), 3),
        "student_ms": round(float(np.median([own.student[student] for own in repeats])), 4),
        "times_cheaper": round(float(np.median(ratios)), 1),
        "of_the_repeats": f"{min(ratios):.0f} to {max(ratios):.0f}",
    }


def _questions(trained: Trained, method: str, count: int) -> Questions:
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    records = tables.read(paths.set_records("A", "test"), RECORDS).head(READERS)
    tasks = tasks_of_records(records, tables.read(paths.interactions("test"), SEEN), history)
    tasks = with_likely_candidates(tasks, trained.teacher.eyes, trained.items, count=count, seed=0)
    return questions_of(tasks, trained.writer, trained.teacher.eyes)


def _once(trained: Trained, asked: dict[int, Questions], served: dict[str, tuple[Served, Sequences]]) -> Spent:
    teacher, student = {}, {}
    for count, questions in asked.items():
        began = time.perf_counter()
        likelihoods(trained.teacher, questions, per_token=trained.per_token)
        teacher[count] = (time.perf_counter() - began) / len(questions.asked) * 1000
    for name, (model, histories) in served.items():
        (row,) = latency(model, histories, batches=(256,), repeats=20)
        student[name] = 1000 / row["users_per_second"]
    return Spent(teacher, student)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except InputError as problem:
        sys.exit(f"error: {problem}")
