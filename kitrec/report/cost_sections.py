"""What answering a user takes, by method, from the ledgers of stages and the times of students."""

from collections.abc import Mapping
from typing import Any

Ledgers = Mapping[str, Mapping[str, Any]]
STAGES = {  # stage that answers -> what its method is called
    "infer_vllm": "{}",
    "score_candidates": "{}",
    "infer_idrec": "{}",
    "infer_teacher": "ilora-{}",
    "infer_thinkrec": "thinkrec-{}",
    "rank_teacher": "{}",
}


def seconds_per_user(ledgers: Ledgers, times: Ledgers, which: str, users: int) -> dict[str, float]:
    """method -> seconds of answering and scoring a set, for each of its users; a resumed stage did not time it whole.

    A student's are those of its largest batch, served by ONNX."""
    found: dict[str, float] = {}
    for ledger, own in ledgers.items():
        stage, _, item = ledger.partition("-")
        if stage in STAGES and which in own and not own["resumed"]:
            method = STAGES[stage].format(item)
            found[method] = found.get(method, 0.0) + own[which]["seconds"] / users
    for pair, own in times.items():
        found[pair] = 1 / own["student_latency"][-1]["users_per_second"]
    return found
