"""What does distillation give on public data?   python -m bench.quality_distill sasrec 5   (KITREC_PUBLIC_DATA)

toys_s3rec cut as DLLM2Rec cuts its data (bench/distill_data.py); the teacher is an ensemble of this project's models,
fitted on training rows alone, two folds; a plain and a distilled student of every seed, judged on the test rows among
all items. Epochs are chosen by the validation's NDCG@20. The paper's teacher is an LLM and its cut is by real times:
its gains stand beside ours, they are no bar. Every run is kept in bench/results/distill_runs with each test row's
NDCG@20; a run that is there is not repeated. The teacher lies in .work/distill_teacher and is made where it is missing.
`python -m bench.quality_distill` alone writes the table from what is there."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from bench.claims import RESULTS, Claim, at_least, publish
from bench.distill_data import WINDOW, Split, toys
from bench.distill_settings import STUDENTS, TEACHER
from kitrec import files, tables
from kitrec.distill.alignment import Rows, cut
from kitrec.distill.comparing import compare, gains
from kitrec.distill.embeddings import read_embeddings, write_embeddings
from kitrec.distill.ensemble import Ensembled, fit_ensemble
from kitrec.distill.fitting import Student, Students, Teacher
from kitrec.distill.params import Distill
from kitrec.distill.teacher_table import TEACHER as TABLE
from kitrec.errors import InputError
from kitrec.idrec.params import BERT4Rec, Caser
from kitrec.idrec.ranking import places, quality
from kitrec.idrec.training import Progress, Validation

RUNS, MADE = RESULTS / "distill_runs", Path(".work/distill_teacher")
LISTS, VECTORS, TOLD = "teacher.parquet", "vectors.safetensors", "teacher.json"
DEPTHS = (1, 5, 10, 20)
PAPER = {  # HR@20 / NDCG@20 of the student alone and distilled, Toys, DLLM2Rec's table 4; the teacher is BIGRec
    "sasrec": ((0.0207, 0.0130), (0.0409, 0.0177)),
    "gru4rec": ((0.0172, 0.0081), (0.0281, 0.0118)),
    "dros": ((0.0231, 0.0144), (0.0463, 0.0225)),
}


def main(arguments: list[str]) -> None:
    """Run what is asked for, then write the table."""
    if arguments:
        if len(arguments) != 2 or arguments[0] not in STUDENTS:
            raise InputError(f"give a student ({', '.join(STUDENTS)}) and a number of seeds")
        split = toys()
        teacher = _teacher(split)
        for seed in range(int(arguments[1])):
            if not (RUNS / f"{arguments[0]}-{seed}.json").exists():
                run(arguments[0], STUDENTS[arguments[0]], split, teacher, seed)
    _publish()


def _teacher(split: Split) -> Teacher:
    """The ensemble's lists and vectors; made once, its own quality on the test rows told beside the runs."""
    if not (MADE / TOLD).exists():
        began = time.perf_counter()
        fitted = fit_ensemble(TEACHER, split.rows, split.vocabulary, 0, MADE / "members")
        learned = time.perf_counter() - began
        tables.write(fitted.lists(split.rows, split.vocabulary), MADE / LISTS, TABLE)
        vectors = fitted.embeddings(split.vocabulary)
        assert vectors is not None
        write_embeddings(vectors, MADE / VECTORS)
        seconds = {"seconds_to_fit": round(learned, 1), "seconds_in_all": round(time.perf_counter() - began, 1)}
        told = {"test": _judged(fitted, split.test), **seconds}
        files.write_json(told, MADE / TOLD)
        files.write_json(told, RUNS / TOLD)
    return Teacher(tables.read(MADE / LISTS, TABLE), read_embeddings(MADE / VECTORS))


def _judged(teacher: Ensembled, test: Validation) -> dict[str, float]:
    better, equal = [], []
    for start in range(0, len(test.truths), 256):
        part = np.arange(start, min(start + 256, len(test.truths)))
        truth = test.truths[part, None] - 1
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


def run(name: str, p: Distill, split: Split, teacher: Teacher, seed: int) -> None:
    """Both students of one seed."""
    rows = windows(p, split.rows)

    def told(progress: Progress) -> None:
        row = progress.rows[-1]
        print(
            f"{name} {seed}: epoch {progress.epoch}, loss {row['loss']:.4f}, NDCG@20 {row['ndcg@20']:.4f}", flush=True
        )

    students = Students(p, rows, split.vocabulary, split.validation, seed)
    with tempfile.TemporaryDirectory() as work:
        alone = students.alone(Path(work) / "alone", told)
        taught = students.taught(teacher, Path(work) / "taught", told)
    both = {"baseline": alone, "distilled": taught}
    found = {which: _student(student, split.test) for which, student in both.items()}
    own = {which: gains(student.fitted.model, *_asked(split.test), 20) for which, student in both.items()}
    with files.whole(RUNS / f"{name}-{seed}.parquet") as draft:
        pl.DataFrame({which: values.astype(np.float32) for which, values in own.items()}).write_parquet(draft)
    told_ = {**found, "teacher_rows": taught.told, "threads": torch.get_num_threads()}
    files.write_json(told_, RUNS / f"{name}-{seed}.json")


def windows(p: Distill, rows: Rows) -> Rows:
    """Training sequences in parts that the student reads whole, so that every row is learned once an epoch."""
    if isinstance(p.student.model, Caser):
        return rows  # it looks at windows by itself
    return cut(rows, WINDOW, 0) if isinstance(p.student.model, BERT4Rec) else cut(rows, WINDOW + 1, 1)


def _asked(test: Validation) -> tuple[Any, np.ndarray]:
    return test.histories, test.truths


def _student(own: Student, test: Validation) -> dict[str, Any]:
    began = time.perf_counter()
    better, equal = places(own.fitted.model, *_asked(test))
    ranking = time.perf_counter() - began
    return {
        "test": _told(better, equal),
        "validation": round(own.fitted.progress.best, 5),
        "epoch": own.fitted.progress.best_epoch,
        "epochs": own.fitted.progress.epoch,
        "seconds": round(own.seconds, 1),
        "ranking_ms_a_row": round(ranking / len(test.truths) * 1000, 4),
    }


def _publish() -> None:
    claims: list[Claim] = []
    table: list[dict[str, Any]] = []
    for name in STUDENTS:
        found = sorted(RUNS.glob(f"{name}-[0-9]*.json"))
        if not found:
            continue
        runs = [files.read_json(path) for path in found]
        kept = [pl.read_parquet(path.with_suffix(".parquet")) for path in found]
        pair = compare(*(np.stack([own[which].to_numpy() for own in kept]) for which in ("baseline", "distilled")))
        table.append(_row(name, runs, pair.told()))
        text, command = f"toys, {name}: relative gain of NDCG@20", f"python -m bench.quality_distill {name} 5"
        spread = f"95 % of the difference {pair.low:.4f} to {pair.high:.4f}, p {pair.p_value:.2g}"
        claims.append(
            at_least(
                text, pair.relative_gain or 0.0, 0, "", command, peer=_paper(name), repeats=len(runs), spread=spread
            )
        )
    details: dict[str, Any] = {"Students": table}
    if (RUNS / TOLD).exists():
        told = files.read_json(RUNS / TOLD)
        details["Teacher"] = [{**told["test"], **{key: own for key, own in told.items() if key != "test"}}]
    publish("quality_distill", claims, details)


def _paper(name: str) -> str:
    if name not in PAPER:
        return "the same student alone"
    (_, alone), (_, taught) = PAPER[name]
    return f"the same student alone; DLLM2Rec's gain {taught / alone - 1:.2f} ({alone:.4f} to {taught:.4f})"


def _row(name: str, runs: list[dict[str, Any]], compared: dict[str, Any]) -> dict[str, Any]:
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
    return {"student": name, **numbers, **told, "gain_of_seeds": shares, **seconds, "seeds": len(runs)}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
