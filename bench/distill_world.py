"""What does a student gain and cost in the embedded world?   python -m bench.distill_world FOLDER

FOLDER is a checkout in which `kitrec profile use variants=distilled`, `dvc repro evaluate` and `dvc repro
examine_teacher` have run. Each student beside its twin without a teacher (all items, test readers, all seeds, paired),
its first seed beside the teacher among the candidates, and what the stages' own clocks say of a user (side by side:
bench.distill_cost)."""

import sys
from pathlib import Path
from typing import Any

from bench.claims import Claim, at_least, at_most, publish
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.distillation.params import Distillation

COMMAND = "dvc repro evaluate examine_teacher; python -m bench.distill_world ."
ASKED = "oracle"  # whose students must gain
KEEPS = 0.95


def main(folder: Path) -> None:
    """Read what the stages told, and publish."""
    metrics = folder / "metrics"
    p = params.load(Distillation, "distillation", folder / params.FILE)
    pairs = [(student, teacher) for student in p.students for teacher in p.teachers]
    missing = [f"{own}-{other}" for own, other in pairs if not (metrics / f"students/{own}-{other}.json").exists()]
    if missing:
        raise InputError(
            f"{folder} has no students {', '.join(missing)}: run `{COMMAND.split(';', maxsplit=1)[0]}` there"
        )
    scored = {name: own["scored"] for name, own in files.read_json(metrics / "evaluate.json").items()}
    rows = [_row(metrics, scored, student, teacher) for student, teacher in pairs]
    claims = [claim for row in rows for claim in _claims(row, p.seeds)]
    details: dict[str, Any] = {"students": rows}
    if eyes := sorted((metrics / "ilora").glob("*.json")):
        details["iLoRA teacher, written"] = [
            {"eyes": path.stem, "set": which, "shown": shown, **numbers}
            for path in eyes
            for which, own in files.read_json(path).items()
            for shown, numbers in own.items()
        ]
    publish("distill_world", claims, details)


def _row(metrics: Path, scored: dict[str, Any], student: str, teacher: str) -> dict[str, Any]:
    told = files.read_json(metrics / f"students/{student}-{teacher}.json")["ndcg@20"]
    time = files.read_json(metrics / f"time/{student}-{teacher}.json")
    each = min(1 / own["users_per_second"] for own in time["student_latency"])
    asked = time["teacher_seconds_per_user"]
    return {
        "student": student,
        "teacher": teacher,
        "alone ndcg@20": round(told["baseline"], 4),
        "taught ndcg@20": round(told["distilled"], 4),
        "difference": f"{told['difference']:.4f} [{told['low']:.4f}, {told['high']:.4f}]",
        "p": told["p_value"],
        "teacher's ndcg@10": round(scored[teacher]["ndcg@10"], 4) if teacher in scored else None,
        "student's ndcg@10": round(scored[f"{student}-{teacher}"]["ndcg@10"], 4),
        "teacher_ms_a_user": round(asked * 1000, 3) if asked else None,
        "student_ms_a_user": round(each * 1000, 4),
    }


def _claims(row: dict[str, Any], seeds: int) -> list[Claim]:
    text, gain = f"{row['student']} of {row['teacher']}", row["taught ndcg@20"] - row["alone ndcg@20"]
    found = []
    if row["teacher"] == ASKED:
        found.append(
            at_least(f"{text}: NDCG@20 gained", gain, 0.0, "", COMMAND, repeats=seeds, spread=row["difference"])
        )
        p_of_gain = row["p"] if gain > 0 else 1.0
        found.append(
            at_most(f"{text}: p of a gain, paired (1: it is a loss)", p_of_gain, 0.01, "", COMMAND, repeats=seeds)
        )
    if row["teacher's ndcg@10"]:
        kept = row["student's ndcg@10"] / row["teacher's ndcg@10"]
        found.append(at_least(f"{text}: NDCG@10 of the teacher's", kept, KEEPS, "", COMMAND, peer="the teacher"))
    return found


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    except InputError as problem:
        sys.exit(f"error: {problem}")
