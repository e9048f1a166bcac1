"""Gain of distillation on public data.   python -m bench.quality_distill toys_s3rec sasrec 3

toys_s3rec or games_llmrank (of KITREC_PUBLIC_DATA) cut as DLLM2Rec cuts its data (bench/distill_data.py); the teacher
is an ensemble of this project's models trained on training rows alone, in folds; a plain and a distilled student of
each seed, ranked on the test rows among all items. Epochs are chosen by the validation's NDCG@20. The paper's teacher
is an LLM and its cut is by real times: its gains are shown beside ours and are no bar. Every run is kept in
bench/results/distill_runs/DATA with each test row's NDCG@20; kept runs are not repeated. The teacher lies in
.work/distill_teacher/DATA and is made if it is missing. Without arguments the kept runs are rendered."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from bench.claims import Claim, at_least, at_most, publish
from bench.distill_data import USERS, WINDOW, Split, split_of
from bench.distill_settings import STUDENTS, TEACHER
from bench.render import RESULTS
from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.distillation.alignment import KeyedSequences, split_into_windows
from kitrec.distillation.comparison import compare, user_ndcg
from kitrec.distillation.ensemble import FittedEnsemble, fit_ensemble
from kitrec.distillation.item_embeddings import read_embeddings, write_embeddings
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.student_training import Student, Students, Teacher
from kitrec.recommenders.models.params import BERT4Rec, Caser
from kitrec.recommenders.sequence_training import Validation
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from kitrec.training.state import Progress

RUNS, MADE = RESULTS / "distill_runs", Path(".work/distill_teacher")
LISTS, VECTORS, METRICS = "teacher.parquet", "vectors.safetensors", "teacher.json"
DEPTHS = (1, 5, 10, 20)
PAPER = {  # NDCG@20 of the baseline and the distilled student, DLLM2Rec's table 4; the teacher is BIGRec
    ("toys_s3rec", "sasrec"): (0.0130, 0.0177),
    ("toys_s3rec", "gru4rec"): (0.0081, 0.0118),
    ("toys_s3rec", "dros"): (0.0144, 0.0225),
    ("games_llmrank", "sasrec"): (0.0190, 0.0262),  # its Games has 55,223 users
    ("games_llmrank", "gru4rec"): (0.0150, 0.0205),
    ("games_llmrank", "dros"): (0.0267, 0.0331),
}
KEEPS = 0.95  # of the teacher's NDCG@10
ABOUT = """8 : 1 : 1 of all rows by their position in their user's sequence, ranked among all items; the teacher is an
ensemble of our own models (bench/distill_settings.py), trained on training rows only, and lists a training row by
members that were not trained on its user; it reads the whole past there and the newest ten items of a test row, as
students do. The paper's mean gain is .48 (47.97 %). Its teacher is an LLM, its cut is by real times: its gains are
shown beside ours. Of games_llmrank the first 15,000 users. The epochs of the teacher's members and the strength of
sasrec_ce's distillation were chosen by the validation of toys_s3rec. p: paired test over test rows, means of the
seeds."""


def main(arguments: list[str]) -> None:
    """Run the given student, if any, and publish the kept runs."""
    if arguments:
        if len(arguments) != 3 or arguments[0] not in USERS or arguments[1] not in STUDENTS:
            raise InputError(f"give data ({', '.join(USERS)}), a student ({', '.join(STUDENTS)}), a number of seeds")
        data, name, seeds = arguments[0], arguments[1], int(arguments[2])
        split = split_of(data)
        teacher = _teacher(data, split)
        for seed in range(seeds):
            if not (RUNS / data / f"{name}-{seed}.json").exists():
                run(data, name, split, teacher, seed)
    _publish()


def _teacher(data: str, split: Split) -> Teacher:
    """Return the ensemble's lists and vectors, made once; its own test metrics are kept beside the runs."""
    made = MADE / data
    if (made / METRICS).exists() and not (RUNS / data / METRICS).exists():
        files.write_json(files.read_json(made / METRICS), RUNS / data / METRICS)
    if not (made / METRICS).exists():
        began = time.perf_counter()
        trained = fit_ensemble(TEACHER, split.rows, split.vocabulary, 0, made / "members")
        fit_seconds = time.perf_counter() - began
        tables.write(trained.lists(split.rows, split.vocabulary), made / LISTS, TEACHER_LISTS)
        vectors = trained.embeddings(split.vocabulary)
        assert vectors is not None
        write_embeddings(vectors, made / VECTORS)
        seconds = {"seconds_to_fit": round(fit_seconds, 1), "seconds_in_all": round(time.perf_counter() - began, 1)}
        metrics = {"test": _teacher_metrics(trained, split.test), **seconds}
        files.write_json(metrics, RUNS / data / METRICS)
        files.write_json(metrics, made / METRICS)
    return Teacher(tables.read(made / LISTS, TEACHER_LISTS), read_embeddings(made / VECTORS))


def _teacher_metrics(teacher: FittedEnsemble, test: Validation) -> dict[str, float]:
    better, equal = [], []
    for start in range(0, len(test.targets), 256):
        part = np.arange(start, min(start + 256, len(test.targets)))
        item = test.targets[part, None] - 1
        scores = teacher.scores(test.histories.take(part))
        item_score = np.take_along_axis(scores, item, axis=1)
        better.append((scores > item_score).sum(1))
        equal.append((scores == item_score).sum(1))
    return _metrics(np.concatenate(better), np.concatenate(equal))


def _metrics(better: np.ndarray, equal: np.ndarray) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for depth in DEPTHS:
        metrics |= mean_metrics(better, equal, depth)
    return {name: round(value, 5) for name, value in metrics.items()}


def run(data: str, name: str, split: Split, teacher: Teacher, seed: int) -> None:
    """Train and keep both students of one seed."""
    p = STUDENTS[name]
    rows = windows(p, split.rows)

    def on_epoch_end(progress: Progress) -> None:
        row = progress.rows[-1]
        print(
            f"{name} {seed}: epoch {progress.epoch}, loss {row['loss']:.4f}, NDCG@20 {row['ndcg@20']:.4f}", flush=True
        )

    students = Students(p, rows, split.vocabulary, split.validation, seed)
    with tempfile.TemporaryDirectory() as work:
        baseline = students.train_baseline(Path(work) / "baseline", on_epoch_end)
        distilled = students.train_distilled(teacher, Path(work) / "distilled", on_epoch_end)
    both = {"baseline": baseline, "distilled": distilled}
    metrics = {which: _student(student, split.test) for which, student in both.items()}
    ndcg = {which: user_ndcg(student.result.model, split.test, 20) for which, student in both.items()}
    with files.atomic(RUNS / data / f"{name}-{seed}.parquet") as draft:
        pl.DataFrame({which: values.astype(np.float32) for which, values in ndcg.items()}).write_parquet(draft)
    document = {**metrics, "teacher_rows": distilled.alignment, "threads": torch.get_num_threads()}
    files.write_json(document, RUNS / data / f"{name}-{seed}.json")


def windows(p: StudentConfig, rows: KeyedSequences) -> KeyedSequences:
    """Cut training sequences into parts that the student reads whole, so that each row is used once per epoch."""
    if isinstance(p.student.model, Caser):
        return rows  # it makes windows itself
    return (
        split_into_windows(rows, WINDOW, 0)
        if isinstance(p.student.model, BERT4Rec)
        else split_into_windows(rows, WINDOW + 1, 1)
    )


def _student(student: Student, test: Validation) -> dict[str, Any]:
    began = time.perf_counter()
    better, equal = test.ranks(student.result.model)
    ranking = time.perf_counter() - began
    return {
        "test": _metrics(better, equal),
        "validation": round(student.result.progress.best, 5),
        "epoch": student.result.progress.best_epoch,
        "epochs": student.result.progress.epoch,
        "seconds": round(student.seconds, 1),
        "ranking_ms_a_row": round(ranking / len(test.targets) * 1000, 4),
    }


def _publish() -> None:
    claims: list[Claim] = []
    details: dict[str, Any] = {}
    for path in sorted(RUNS.iterdir()) if RUNS.exists() else []:
        teacher = files.read_json(path / METRICS)
        students = [row for name in STUDENTS if (row := _compare(path, name, teacher)) is not None]
        details[path.name] = [row for row, _ in students]
        details[f"{path.name}, teacher"] = [
            {**teacher["test"], **{key: value for key, value in teacher.items() if key != "test"}}
        ]
        claims += [claim for _, listed in students for claim in listed]
    publish("quality_distill", claims, details, ABOUT)


def _compare(path: Path, name: str, teacher: dict[str, Any]) -> tuple[dict[str, Any], list[Claim]] | None:
    """Return a student's row of the table and its claims, if it was run."""
    paths = sorted(path.glob(f"{name}-[0-9]*.json"))
    if not paths:
        return None
    runs = [files.read_json(file) for file in paths]
    kept = [pl.read_parquet(file.with_suffix(".parquet")) for file in paths]
    before, after = (np.stack([table[which].to_numpy() for table in kept]) for which in ("baseline", "distilled"))
    pair = compare(before, after)
    text, command = f"{path.name}, {name}", f"python -m bench.quality_distill {path.name} {name} {len(runs)}"
    spread = f"95 % of the difference {pair.low:.4f} to {pair.high:.4f}, p over users and seeds {pair.p:.2g}"
    gain = at_least(
        f"{text}: relative gain of NDCG@20",
        pair.relative_gain or 0.0,
        0,
        "",
        command,
        peer=_paper(path.name, name),
        repeats=len(runs),
        spread=spread,
    )
    p_of_gain = pair.p if pair.difference > 0 else 1.0
    sure = at_most(f"{text}: p of a gain, paired (1: it is a loss)", p_of_gain, 0.01, "", command, repeats=len(runs))
    row = _row(name, runs, pair.metrics(), teacher)
    keeps = at_least(
        f"{text}: NDCG@10 of the teacher's",
        row["of the teacher's"],
        KEEPS,
        "",
        command,
        peer="the teacher",
        repeats=len(runs),
    )
    return row, [gain, sure, keeps]


def _paper(data: str, name: str) -> str:
    if (data, name) not in PAPER:
        return "the same student without a teacher"
    baseline, distilled = PAPER[data, name]
    gain = f"{distilled / baseline - 1:.2f} ({baseline:.4f} to {distilled:.4f})"
    return f"the same student without a teacher; DLLM2Rec's gain {gain}"


def _row(name: str, runs: list[dict[str, Any]], compared: dict[str, Any], teacher: dict[str, Any]) -> dict[str, Any]:
    def mean(which: str, *keys: str) -> float:
        values = []
        for run in runs:
            value: Any = run[which]
            for key in keys:
                value = value[key]
            values.append(value)
        return round(float(np.mean(values)), 4)

    numbers = {
        f"{which} {metric}": mean(which, "test", metric)
        for metric in ("hit@20", "ndcg@20", "ndcg@10")
        for which in ("baseline", "distilled")
    }
    seconds = {f"{which} seconds": mean(which, "seconds") for which in ("baseline", "distilled")}
    gains = {key: compared[key] for key in ("relative_gain", "p_users_and_trainings", "gain_by_seed")}
    shares = ", ".join("-" if gain is None else f"{gain:+.2f}" for gain in gains.pop("gain_by_seed"))
    numbers["baseline, of the teacher's"] = round(numbers["baseline ndcg@10"] / teacher["test"]["ndcg@10"], 3)
    numbers["of the teacher's"] = round(numbers["distilled ndcg@10"] / teacher["test"]["ndcg@10"], 3)
    return {"student": name, **numbers, **gains, "gain_of_seeds": shares, **seconds, "seeds": len(runs)}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
