"""What does distillation give on public data?   python -m bench.quality_distill toys_s3rec sasrec 3

toys_s3rec or games_llmrank (of KITREC_PUBLIC_DATA) cut as DLLM2Rec cuts its data (bench/distill_data.py); the teacher
is an ensemble of this project's models fitted on training rows alone, in folds; a plain and a distilled student of
each seed, judged on the test rows among all items. Epochs are chosen by the validation's NDCG@20. The paper's teacher
is an LLM and its cut is by real times: its gains stand beside ours, they are no bar. Every run is kept in
bench/results/distill_runs/DATA with each test row's NDCG@20; a run that is there is not repeated. The teacher lies in
.work/distill_teacher/DATA and is made where it is missing. `python -m bench.quality_distill` alone writes the table."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from bench.claims import RESULTS, Claim, at_least, at_most, publish
from bench.distill_data import READERS, WINDOW, Split, split_of
from bench.distill_settings import STUDENTS, TEACHER
from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.distillation.alignment import Rows, cut
from kitrec.distillation.comparison import compare, gains
from kitrec.distillation.ensemble import Ensembled, fit_ensemble
from kitrec.distillation.item_embeddings import read_embeddings, write_embeddings
from kitrec.distillation.params import Distill
from kitrec.distillation.student_training import Student, Students, Teacher
from kitrec.recommenders.params import BERT4Rec, Caser
from kitrec.recommenders.ranking.full import places, quality
from kitrec.recommenders.sequence_training import Validation
from kitrec.schemas.teacher_lists import TEACHER as TABLE
from kitrec.training.state import Progress

RUNS, MADE = RESULTS / "distill_runs", Path(".work/distill_teacher")
LISTS, VECTORS, TOLD = "teacher.parquet", "vectors.safetensors", "teacher.json"
DEPTHS = (1, 5, 10, 20)
PAPER = {  # NDCG@20 of the student alone and distilled, DLLM2Rec's table 4; the teacher is BIGRec
    ("toys_s3rec", "sasrec"): (0.0130, 0.0177),
    ("toys_s3rec", "gru4rec"): (0.0081, 0.0118),
    ("toys_s3rec", "dros"): (0.0144, 0.0225),
    ("games_llmrank", "sasrec"): (0.0190, 0.0262),  # its Games has 55,223 users
    ("games_llmrank", "gru4rec"): (0.0150, 0.0205),
    ("games_llmrank", "dros"): (0.0267, 0.0331),
}
KEEPS = 0.95  # of the teacher's NDCG@10
ABOUT = """8 : 1 : 1 of all rows by their place in their reader's sequence, ranked among all items; the teacher is an
ensemble of our own models (bench/distill_settings.py), fitted on training rows alone, and lists a training row by
members that never saw its reader; it reads the whole past there and the newest ten items of a test row, as students
do. The paper's mean gain is .48 (47.97 %). Its teacher is an LLM, its cut is by real times: its gains stand beside
ours. Of games_llmrank the first 15,000 readers. The epochs of the teacher's members and the strength of sasrec_ce's
teaching were chosen by the validation of toys_s3rec. p: paired test over test rows, means of the seeds."""


def main(arguments: list[str]) -> None:
    """Run what is asked for, then write the table."""
    if arguments:
        if len(arguments) != 3 or arguments[0] not in READERS or arguments[1] not in STUDENTS:
            raise InputError(f"give data ({', '.join(READERS)}), a student ({', '.join(STUDENTS)}), a number of seeds")
        data, name, seeds = arguments[0], arguments[1], int(arguments[2])
        split = split_of(data)
        teacher = _teacher(data, split)
        for seed in range(seeds):
            if not (RUNS / data / f"{name}-{seed}.json").exists():
                run(data, name, split, teacher, seed)
    _publish()


def _teacher(data: str, split: Split) -> Teacher:
    """The ensemble's lists and vectors; made once, its own quality on the test rows told beside the runs."""
    made = MADE / data
    if (made / TOLD).exists() and not (RUNS / data / TOLD).exists():
        files.write_json(files.read_json(made / TOLD), RUNS / data / TOLD)
    if not (made / TOLD).exists():
        began = time.perf_counter()
        fitted = fit_ensemble(TEACHER, split.rows, split.vocabulary, 0, made / "members")
        learned = time.perf_counter() - began
        tables.write(fitted.lists(split.rows, split.vocabulary), made / LISTS, TABLE)
        vectors = fitted.embeddings(split.vocabulary)
        assert vectors is not None
        write_embeddings(vectors, made / VECTORS)
        seconds = {"seconds_to_fit": round(learned, 1), "seconds_in_all": round(time.perf_counter() - began, 1)}
        told = {"test": _judged(fitted, split.test), **seconds}
        files.write_json(told, RUNS / data / TOLD)
        files.write_json(told, made / TOLD)
    return Teacher(tables.read(made / LISTS, TABLE), read_embeddings(made / VECTORS))


def _judged(teacher: Ensembled, test: Validation) -> dict[str, float]:
    better, equal = [], []
    for start in range(0, len(test.targets), 256):
        part = np.arange(start, min(start + 256, len(test.targets)))
        truth = test.targets[part, None] - 1
        scores = teacher.scores(test.histories.take(part))
        reached = np.take_along_axis(scores, truth, axis=1)
        better.append((scores > reached).sum(1))
        equal.append((scores == reached).sum(1))
    return _told(np.concatenate(better), np.concatenate(equal))


def _told(better: np.ndarray, equal: np.ndarray) -> dict[str, float]:
    found: dict[str, float] = {}
    for depth in DEPTHS:
        found |= quality(better, equal, depth)
    return {name: round(value, 5) for name, value in found.items()}


def run(data: str, name: str, split: Split, teacher: Teacher, seed: int) -> None:
    """Both students of one seed."""
    p = STUDENTS[name]
    rows = windows(p, split.rows)

    def told(progress: Progress) -> None:
        row = progress.rows[-1]
        print(
            f"{name} {seed}: epoch {progress.epoch}, loss {row['loss']:.4f}, NDCG@20 {row['ndcg@20']:.4f}", flush=True
        )

    students = Students(p, rows, split.vocabulary, split.validation, seed)
    with tempfile.TemporaryDirectory() as work:
        alone = students.train_baseline(Path(work) / "alone", told)
        taught = students.train_distilled(teacher, Path(work) / "taught", told)
    both = {"baseline": alone, "distilled": taught}
    found = {which: _student(student, split.test) for which, student in both.items()}
    own = {which: gains(student.result.model, *_asked(split.test), 20) for which, student in both.items()}
    with files.whole(RUNS / data / f"{name}-{seed}.parquet") as draft:
        pl.DataFrame({which: values.astype(np.float32) for which, values in own.items()}).write_parquet(draft)
    told_ = {**found, "teacher_rows": taught.alignment, "threads": torch.get_num_threads()}
    files.write_json(told_, RUNS / data / f"{name}-{seed}.json")


def windows(p: Distill, rows: Rows) -> Rows:
    """Training sequences in parts that the student reads whole, so that every row is learned once an epoch."""
    if isinstance(p.student.model, Caser):
        return rows  # it looks at windows by itself
    return cut(rows, WINDOW, 0) if isinstance(p.student.model, BERT4Rec) else cut(rows, WINDOW + 1, 1)


def _asked(test: Validation) -> tuple[Any, np.ndarray]:
    return test.histories, test.targets


def _student(own: Student, test: Validation) -> dict[str, Any]:
    began = time.perf_counter()
    better, equal = places(own.result.model, *_asked(test))
    ranking = time.perf_counter() - began
    return {
        "test": _told(better, equal),
        "validation": round(own.result.progress.best, 5),
        "epoch": own.result.progress.best_epoch,
        "epochs": own.result.progress.epoch,
        "seconds": round(own.seconds, 1),
        "ranking_ms_a_row": round(ranking / len(test.targets) * 1000, 4),
    }


def _publish() -> None:
    claims: list[Claim] = []
    details: dict[str, Any] = {}
    for path in sorted(RUNS.iterdir()) if RUNS.exists() else []:
        teacher = files.read_json(path / TOLD)
        own = [told for name in STUDENTS if (told := _judge(path, name, teacher)) is not None]
        details[path.name] = [row for row, _ in own]
        details[f"{path.name}, teacher"] = [
            {**teacher["test"], **{key: value for key, value in teacher.items() if key != "test"}}
        ]
        claims += [claim for _, found in own for claim in found]
    publish("quality_distill", claims, details, ABOUT)


def _judge(path: Path, name: str, teacher: dict[str, Any]) -> tuple[dict[str, Any], list[Claim]] | None:
    """A student's row of the table and its claims, if it was run."""
    found = sorted(path.glob(f"{name}-[0-9]*.json"))
    if not found:
        return None
    runs = [files.read_json(own) for own in found]
    kept = [pl.read_parquet(own.with_suffix(".parquet")) for own in found]
    pair = compare(*(np.stack([own[which].to_numpy() for own in kept]) for which in ("baseline", "distilled")))
    text, command = f"{path.name}, {name}", f"python -m bench.quality_distill {path.name} {name} {len(runs)}"
    spread = f"95 % of the difference {pair.low:.4f} to {pair.high:.4f}, p {pair.p_value:.2g}"
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
    p_of_gain = pair.p_value if pair.difference > 0 else 1.0
    sure = at_most(f"{text}: p of a gain, paired (1: it is a loss)", p_of_gain, 0.01, "", command, repeats=len(runs))
    row = _row(name, runs, pair.told(), teacher)
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
        return "the same student alone"
    alone, taught = PAPER[data, name]
    return f"the same student alone; DLLM2Rec's gain {taught / alone - 1:.2f} ({alone:.4f} to {taught:.4f})"


def _row(name: str, runs: list[dict[str, Any]], compared: dict[str, Any], teacher: dict[str, Any]) -> dict[str, Any]:
    def mean(which: str, *keys: str) -> float:
        values = []
        for own in runs:
            value: Any = own[which]
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
    told = {key: compared[key] for key in ("relative_gain", "p_value", "gain_of_seeds")}
    shares = ", ".join("-" if own is None else f"{own:+.2f}" for own in told.pop("gain_of_seeds"))
    numbers["alone, of the teacher's"] = round(numbers["baseline ndcg@10"] / teacher["test"]["ndcg@10"], 3)
    numbers["of the teacher's"] = round(numbers["distilled ndcg@10"] / teacher["test"]["ndcg@10"], 3)
    return {"student": name, **numbers, **told, "gain_of_seeds": shares, **seconds, "seeds": len(runs)}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
