"""What distillation cost, as the ledgers of its stages tell: only told on, never learned from, so no dependency."""

from pathlib import Path
from typing import Any

from kitrec.core import files


def durations(student: str, teacher: str) -> dict[str, float | None]:
    """The four durations of a pair in seconds, and the teacher's per user; what nobody measured is null."""
    eyes = teacher.removeprefix("ilora-")
    if eyes == teacher:
        made = _ledger(f"make_teacher-{teacher}")
        trained = _whole(made, "train_seconds", 0.0) if made else None  # an oracle is not trained
    else:
        made, trained = _ledger(f"infer_teacher-{eyes}"), _whole(_ledger(f"train_teacher_ilora-{eyes}"), "seconds")
    baseline, distilled = _ledger(f"train_student-{student}"), _ledger(f"distill_student-{student}-{teacher}")
    return {
        "teacher_train_time_total": trained,
        "distill_teacher_export_time": _whole(made, "export_seconds"),
        "student_baseline_train_time": baseline.get("training_seconds"),
        "distill_student_train_time": distilled.get("training_seconds"),
        "teacher_seconds_per_user": _per_user(_ledger(f"rank_teacher-{teacher}") or made),
    }


def _whole(ledger: dict[str, Any], name: str, default: float | None = None) -> float | None:
    """Seconds of a process that did all of it; one that went on after a kill knows its own part alone."""
    return None if ledger.get("resumed") else ledger.get(name, default)


def _per_user(ledger: dict[str, Any]) -> float | None:
    """Of all test sets; of the training rows it ranked where an ensemble ranks no test; an oracle asks nobody."""
    sets = list(_sets(ledger).values())
    records = sum(own["records"] for own in sets)  # a process that only went on from kept shards answered none
    return round(sum(own["seconds"] for own in sets) / records, 6) if records else None


def _sets(ledger: dict[str, Any]) -> dict[str, Any]:
    return {name: own for name, own in ledger.items() if name.startswith("set")}


def _ledger(stage: str) -> dict[str, Any]:
    path = Path("metrics/cost") / f"{stage}.json"
    found: dict[str, Any] = files.read_json(path) if path.exists() else {}
    return found
