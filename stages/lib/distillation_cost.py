"""The cost of distillation, from the cost files of its stages: for reports only, so no stage depends on them."""

from pathlib import Path
from typing import Any

from kitrec.core import files


def durations(student: str, teacher: str) -> dict[str, float | None]:
    """Return the four durations of a pair in seconds, their parts by trained model, and the teacher's per user; null
    where nothing was measured. The training of an iLoRA teacher includes that of its own SASRec."""
    encoder, of_encoder = teacher.removeprefix("ilora-"), None
    if encoder == teacher:
        export = _stage_cost(f"make_teacher-{teacher}")
        training = _if_uninterrupted(export, "train_seconds", 0.0) if export else None  # an oracle is not trained
    else:
        export = _stage_cost(f"infer_teacher-{encoder}")
        of_llm = _if_uninterrupted(_stage_cost(f"train_teacher_ilora-{encoder}"), "seconds")
        of_encoder = _if_uninterrupted(_stage_cost(f"train_idrec-{encoder}"), "seconds")
        training = None if of_llm is None or of_encoder is None else round(of_llm + of_encoder, 2)
    baseline = _stage_cost(f"train_student-{student}")
    distilled = _stage_cost(f"distill_student-{student}-{teacher}")
    return {
        "teacher_train_time_total": training,
        "distill_teacher_export_time": _if_uninterrupted(export, "export_seconds"),
        "student_baseline_train_time": baseline.get("training_seconds"),
        "distill_student_train_time": distilled.get("training_seconds"),
        "teacher_encoder_train_time": of_encoder,
        "student_baseline_train_time_per_model": baseline.get("training_seconds_per_model"),
        "distill_student_train_time_per_model": distilled.get("training_seconds_per_model"),
        "teacher_seconds_per_user": _seconds_per_user(_stage_cost(f"rank_teacher-{teacher}") or export),
    }


def write_durations() -> None:
    """Write metrics/time.json: what metrics/time/ holds of every pair. It is for people; no stage reads it."""
    pairs = {path.stem: files.read_json(path) for path in sorted(Path("metrics/time").glob("*.json"))}
    files.write_json(pairs, Path("metrics/time.json"))


def _if_uninterrupted(cost: dict[str, Any], name: str, default: float | None = None) -> float | None:
    """Return the seconds of a process that did all of the work; a resumed one measured its own part alone."""
    return None if cost.get("resumed") else cost.get(name, default)


def _seconds_per_user(cost: dict[str, Any]) -> float | None:
    """Return the mean over all test sets, or over the training rows for an ensemble that ranks no test."""
    sets = [set_cost for name, set_cost in cost.items() if name.startswith("set")]
    records = sum(set_cost["records"] for set_cost in sets)  # 0 if a resumed process only reused stored shards
    return round(sum(set_cost["seconds"] for set_cost in sets) / records, 6) if records else None


def _stage_cost(stage: str) -> dict[str, Any]:
    path = Path("metrics/cost") / f"{stage}.json"
    cost: dict[str, Any] = files.read_json(path) if path.exists() else {}
    return cost
