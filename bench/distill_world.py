"""Gain and cost of students in the embedded world.   python -m bench.distill_world FOLDER

FOLDER is a checkout in which `kitrec profile use variants=distilled`, `dvc repro evaluate` and `dvc repro
examine_teacher` have run. Compares each student with its baseline without a teacher (test users, all seeds, paired),
among the items of the target domain and among the candidates of both sets, and its first seed with the teacher; costs
per user are the stages' own clocks (side by side: bench.distill_cost)."""

import sys
from pathlib import Path
from typing import Any

from bench.claims import Claim, at_least, at_most, publish
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.distillation.params import Distillation

COMMAND = "dvc repro evaluate examine_teacher; python -m bench.distill_world ."
KEEPS = 0.95  # of the teacher's NDCG@10
CANDIDATE_SETS = ("setA", "setB")


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
    claims = []
    for (student, teacher), row in zip(pairs, rows, strict=True):
        claims += _gain_claims(f"{student} of {teacher}", _comparisons(metrics, student, teacher), p.seeds)
        claims += _kept_claims(row)
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
    time = files.read_json(metrics / f"time/{student}-{teacher}.json")
    student_seconds = min(1 / row["users_per_second"] for row in time["student_latency"])
    teacher_seconds = time["teacher_seconds_per_user"]
    return {
        "student": student,
        "teacher": teacher,
        **{
            measure: f"{pair['baseline']:.3f} to {pair['distilled']:.3f}, p {pair['p_users_and_trainings']}"
            for measure, pair in _comparisons(metrics, student, teacher).items()
        },
        "teacher's ndcg@10": round(scored[teacher]["ndcg@10"], 4) if teacher in scored else None,
        "student's ndcg@10": round(scored[f"{student}-{teacher}"]["ndcg@10"], 4),
        "teacher_ms_a_user": round(teacher_seconds * 1000, 3) if teacher_seconds else None,
        "student_ms_a_user": round(student_seconds * 1000, 4),
    }


def _comparisons(metrics: Path, student: str, teacher: str) -> dict[str, dict[str, Any]]:
    compared = files.read_json(metrics / f"students/{student}-{teacher}.json")
    on_candidates = {f"NDCG@10, candidates of {which}": compared[which]["ndcg@10"] for which in CANDIDATE_SETS}
    return {"NDCG@20, items of the domain": compared["ndcg@20"], **on_candidates}


def _gain_claims(text: str, comparisons: dict[str, dict[str, Any]], seeds: int) -> list[Claim]:
    claims = []
    for measure, pair in comparisons.items():
        p_of_gain = pair["p_users_and_trainings"] if pair["difference"] > 0 else 1.0
        spread = f"{pair['difference']:.4f} [{pair['low']:.4f}, {pair['high']:.4f}]"
        about = {"peer": "its twin without a teacher", "repeats": seeds, "spread": spread}
        claims.append(at_most(f"{text}: gain in {measure}, p (1: it is a loss)", p_of_gain, 0.01, "", COMMAND, **about))
    return claims


def _kept_claims(row: dict[str, Any]) -> list[Claim]:
    if not row["teacher's ndcg@10"]:
        return []
    kept = row["student's ndcg@10"] / row["teacher's ndcg@10"]
    text = f"{row['student']} of {row['teacher']}: NDCG@10 of the teacher's"
    return [at_least(text, kept, KEEPS, "", COMMAND, peer="the teacher")]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except InputError as problem:
        sys.exit(f"error: {problem}")
