"""Hours that the chosen params cost on one 80 GB card, before anything runs: what `kitrec doctor --hours` shows.

    hours = tokens / tokens per second / 3600
Training by the reference: 1,125 tokens per second, 4,500 tokens a sample (162 M tokens over three epochs of 12,000).
The speeds of inference are assumptions, not measurements; `metrics/cost` has those of a run."""

from collections.abc import Mapping
from typing import Any

from kitrec.cli.disk_plan import REFERENCE_PARAMETERS, parameter_count
from kitrec.llm.generation.params import budgeted

TRAINED_PER_SECOND = 1125  # tokens; reference, A100 80 GB
READ_PER_SECOND = 8000  # assumed: prompt tokens of an engine
WRITTEN_PER_SECOND = 1500  # assumed: answer tokens of all sequences of an engine together
BUDGET_USED = 0.5  # assumed: share of its token budget that an answer takes
SCORING = 1.3  # assumed: reading an answered prompt once more, and the candidates behind it
SAMPLE_TOKENS = 4500  # reference: prompt and answer of a training sample with 100 candidates
PUBLISHED = {"dualft": 12_000, "singleft": 3_000, "test": 30_000}  # records, of hub and files


def hours_plan(s: Mapping[str, Any]) -> dict[str, float]:
    """Return stage -> hours: of all adapters on one candidate set, of each method on both test sets, and in all.

    The last row is both sets: adapters and their methods twice, what the base answers once."""
    slower = parameter_count(s["base"]) / REFERENCE_PARAMETERS
    tokens = min(SAMPLE_TOKENS, s["prompt"].max_length)
    adapters = len(s["train"].targets) * len(s["train"].variants)
    hours = {
        f"train_{family}, {adapters} adapters": adapters
        * s[family].epochs
        * _records(s, family)
        * tokens
        / TRAINED_PER_SECOND
        for family in ("dualft", "singleft")
    }
    answers = len(s["data"].test_sets) * _records(s, "test")
    for name in s["infer"].methods:
        written = BUDGET_USED * token_budget(s, name)
        calls = 3 if s["infer"].methods[name].steps == "llm4cdr" else 1
        hours[f"infer_vllm {name}"] = calls * answers * (tokens / READ_PER_SECOND + written / WRITTEN_PER_SECOND)
        hours[f"score_candidates {name}"] = answers * SCORING * (tokens + written) / READ_PER_SECOND
    hours = {stage: seconds * slower / 3600 for stage, seconds in hours.items()}
    total = sum(hours.values())
    base_methods = [name for name, method in s["infer"].methods.items() if method.model == "base"]
    base_hours = sum(value for stage, value in hours.items() if stage.split()[-1] in base_methods)
    return hours | {"one candidate set": total, "both candidate sets": 2 * total - base_hours}


def token_budget(s: Mapping[str, Any], method: str) -> int:
    """Return the tokens that an answer of this method may take."""
    return budgeted(s["infer"].methods[method], s["infer"].budgets).max_new_tokens


def _records(s: Mapping[str, Any], role: str) -> int:
    """Return the records of one adapter's training, or of one test set."""
    if s["source"].kind in ("hub", "kitrec"):
        return PUBLISHED[role]
    if role == "test":
        return int(len(s["domains"].user_types) * s["users"].test)
    return len(s["domains"].types_of(f"{role}-{s['domains'].targets[0]}")) * int(s["users"].train)
