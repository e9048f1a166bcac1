"""Cost per user, teacher and student side by side.   python -m bench.distill_cost FOLDER

FOLDER is a checkout in which `kitrec profile use variants=distilled` and `dvc repro rank_student` have run. The iLoRA
teacher (its prompts are made beforehand) scores the likeliest 20 or 100 candidates of each of USERS test users, as its
export does; the student ranks all items as ONNX, 256 users at a time. One thread each, in turns; medians of REPEATS."""

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
from kitrec.ilora.dataset import CandidateScoringDataset, scoring_dataset
from kitrec.ilora.scoring import log_likelihoods
from kitrec.ilora.user_tasks import tasks_from_records, with_top_candidates
from kitrec.onnx.runtime import OnnxModel, load_onnx_model, measure_latency
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import History
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.train import known_questions
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.records import RECORDS
from stages.lib import paths
from stages.lib.ilora_teacher import Trained, trained_teacher

USERS, REPEATS, CHEAPER = 128, 5, 1000.0
LISTS = (20, 100)  # the length of LLaRA's lists and of ours
SERVED, COMMAND = Path("data/serving"), "python -m bench.distill_cost FOLDER"


@dataclass(frozen=True)
class Cost:
    """Milliseconds per user: the teacher's by number of candidates, the students' by name."""

    teacher: dict[int, float]
    student: dict[str, float]


def main(folder: Path) -> None:
    """Time both sides in turn and publish."""
    torch.set_num_threads(1)
    with contextlib.chdir(folder):
        p = params.load(Distillation, "distillation")
        teachers = [name for name in p.teachers if name.startswith("ilora-")]
        pairs = [f"{student}-{teacher}" for student in p.students for teacher in teachers]
        if missing := [name for name in pairs if not (SERVED / name).exists()]:
            raise InputError(f"{folder} serves no {', '.join(missing)}: run `dvc repro rank_student` there")
        histories = {student: p.settings[student].student.history for student in p.students}
        rows = [row for teacher in teachers for row in _rows(teacher, histories)]
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
    publish("distill_cost", claims, {"milliseconds a user": rows})


def _rows(teacher: str, students: dict[str, History]) -> list[dict[str, Any]]:
    """Return one row per student (with the history it reads) and length of the list."""
    method = teacher.removeprefix("ilora-")
    trained = trained_teacher(Path("data/ilora") / method, Path("data/idrec") / method)
    questions = {count: _questions(trained, method, count) for count in LISTS}
    interactions, served = (
        tables.read(paths.interactions("test"), SPLIT_INTERACTIONS),
        dict[str, tuple[OnnxModel, Sequences]](),
    )
    for student, history in students.items():
        model = load_onnx_model(SERVED / f"{student}-{teacher}")
        served[student] = model, known_questions(interactions, history, model.vocabulary)[0]
    repeats = [_once(trained, questions, served) for _ in range(REPEATS)]
    return [
        {"student": student, "teacher": teacher, "candidates": count} | _row(questions[count], repeats, student, count)
        for student in students
        for count in LISTS
    ]


def _row(questions: CandidateScoringDataset, repeats: list[Cost], student: str, count: int) -> dict[str, Any]:
    ratios = [cost.teacher[count] / cost.student[student] for cost in repeats]
    return {
        "tokens": round(float(np.mean([len(question.tokens) for question in questions.prompts]))),
        "teacher_ms": round(float(np.median([cost.teacher[count] for cost in repeats])), 3),
        "student_ms": round(float(np.median([cost.student[student] for cost in repeats])), 4),
        "times_cheaper": round(float(np.median(ratios)), 1),
        "of_the_repeats": f"{min(ratios):.0f} to {max(ratios):.0f}",
    }


def _questions(trained: Trained, method: str, count: int) -> CandidateScoringDataset:
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    records = tables.read(paths.set_records("A", "test"), RECORDS).head(USERS)
    tasks = tasks_from_records(records, tables.read(paths.interactions("test"), SPLIT_INTERACTIONS), history)
    tasks = with_top_candidates(tasks, trained.teacher.sequence_encoder, trained.items, count=count, seed=0)
    return scoring_dataset(tasks, trained.builder, trained.teacher.sequence_encoder)


def _once(
    trained: Trained, lists: dict[int, CandidateScoringDataset], served: dict[str, tuple[OnnxModel, Sequences]]
) -> Cost:
    teacher, student = {}, {}
    for count, questions in lists.items():
        began = time.perf_counter()
        log_likelihoods(trained.teacher, questions, per_token=trained.per_token)
        teacher[count] = (time.perf_counter() - began) / len(questions.prompts) * 1000
    for name, (model, histories) in served.items():
        (row,) = measure_latency(model, histories, batches=(256,), repeats=20)
        student[name] = 1000 / row["users_per_second"]
    return Cost(teacher, student)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except InputError as problem:
        sys.exit(f"error: {problem}")
