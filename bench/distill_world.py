"""Gain and cost of students in the embedded world.   python -m bench.distill_world FOLDER

FOLDER is a checkout in which `kitrec profile use variants=distilled`, `dvc repro evaluate` and `dvc repro
examine_teacher` have run. Compares each student with its baseline without a teacher (all items, test users, all seeds,
paired) and its first seed with the teacher among the candidates; costs per user are the stages' own clocks (side by
side: bench.distill_cost)."""

import sys
from pathlib import Path
from typing import Any

from bench.claims import Claim, at_least, at_most, publish
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.distillation.params import Distillation

COMMAND = "dvc repro evaluate examine_teacher; python -m bench.distill_world ."
MUST_GAIN = "oracle"  # the teacher that students must gain from
KEEPS = 0.95  # of the teacher's NDCG@10


def main(folder: Path) -> None:
    """Read the stages' metrics and publish."""
    metrics = folder / "metrics"
    p = params.load(Distillation, "distillation", folder / params.FILE)
    pairs = [(student, teacher) for student in p.students for teacher in p.teachers]
    missing = ["-".join(pair) for pair in pairs if not (metrics / f"students/{'-'.join(pair)}.json").exists()]
    if missing:
        raise InputError(
            f"{folder} has no students {', '.join(missing)}: run `{COMMAND.split(';', maxsplit=1)[0]}` there"
        )
    scored = {name: kinds["scored"] for name, kinds in files.read_json(metrics / "evaluate.json").items()}
    rows = [_row(metrics, scored, student, teacher) for student, teacher in pairs]
    claims = [claim for row in rows for claim in _claims(row, p.seeds)]
    details: dict[str, Any] = {"students": rows}
    if encoders := sorted((metrics / "ilora").glob("*.json")):
        details["iLoRA teacher, written"] = [
            {"encoder": path.stem, "set": which, "shown": shown, **numbers}
            for path in encoders
            for which, shares in files.read_json(path).items()
            for shown, numbers in shares.items()
        ]
    publish("distill_world", claims, details)


def _row(metrics: Path, scored: dict[str, Any], student: str, teacher: str) -> dict[str, Any]:
    gain = files.read_json(metrics / f"students/{student}-{teacher}.json")["ndcg@20"]
    time = files.read_json(metrics / f"time/{student}-{teacher}.json")
    student_seconds = min(1 / row["users_per_second"] for row in time["student_latency"])
    teacher_seconds = time["teacher_seconds_per_user"]
    return {
        "student": student,
        "teacher": teacher,
        "baseline ndcg@20": round(gain["baseline"], 4),
        "distilled ndcg@20": round(gain["distilled"], 4),
        "difference": f"{gain['difference']:.4f} [{gain['low']:.4f}, {gain['high']:.4f}]",
        "p": gain["p_users_and_trainings"],
        "teacher's ndcg@10": round(scored[teacher]["ndcg@10"], 4) if teacher in scored else None,
        "student's ndcg@10": round(scored[f"{student}-{teacher}"]["ndcg@10"], 4),
        "teacher_ms_a_user": round(teacher_seconds * 1000, 3) if teacher_seconds else None,
        "student_ms_a_user": round(student_seconds * 1000, 4),
    }


def _claims(row: dict[str, Any], seeds: int) -> list[Claim]:
    text, gain = f"{row['student']} of {row['teacher']}", row["distilled ndcg@20"] - row["baseline ndcg@20"]
    claims = []
    if row["teacher"] == MUST_GAIN:
        claims.append(
            at_least(f"{text}: NDCG@20 gained", gain, 0.0, "", COMMAND, repeats=seeds, spread=row["difference"])
        )
        p_of_gain = row["p"] if gain > 0 else 1.0
        claims.append(
            at_most(
                f"{text}: p of a gain over users and seeds (1: it is a loss)",
                p_of_gain,
                0.01,
                "",
                COMMAND,
                repeats=seeds,
            )
        )
    if row["teacher's ndcg@10"]:
        kept = row["student's ndcg@10"] / row["teacher's ndcg@10"]
        claims.append(at_least(f"{text}: NDCG@10 of the teacher's", kept, KEEPS, "", COMMAND, peer="the teacher"))
    return claims


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except InputError as problem:
        sys.exit(f"error: {problem}")
