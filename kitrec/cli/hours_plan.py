"""Hours that the chosen params cost on one 80 GB card, before anything runs: what `kitrec doctor --hours` shows.

    hours = tokens / tokens per second / 3600
Training by the reference: 1,125 tokens per second, 4,500 tokens a sample (162 M tokens over three epochs of 12,000).
The speeds of inference are assumptions, not measurements; `metrics/cost` has those of a run, and `kitrec plan` has none
but measured ones."""

from collections.abc import Mapping
from typing import Any

from kitrec.cli.disk_plan import REFERENCE_PARAMETERS, parameter_count
from kitrec.cli.stage_work import Unit, stage_work

ASSUMED: dict[Unit, float] = {  # per second
    "trained": 1125,  # tokens; reference, A100 80 GB
    "read": 8000,  # prompt tokens of an engine
    "written": 1500,  # answer tokens of all sequences of an engine together
}


def hours_plan(s: Mapping[str, Any]) -> dict[str, float]:
    """Return stage -> hours: of all adapters on one candidate set, of each method on both test sets, and in all.

    The last row is both sets: adapters and their methods twice, what the base answers once."""
    slower = parameter_count(s["base"]) / REFERENCE_PARAMETERS
    adapters = len(s["train"].targets) * len(s["train"].variants)
    hours: dict[str, float] = {}
    for stage, work in stage_work(s).items():
        name, _, item = stage.partition("-")
        seconds = sum(amount / ASSUMED[unit] for unit, amount in (work.amounts or {}).items() if unit in ASSUMED)
        if name in ("train_dualft", "train_singleft"):
            row = f"{name}, {adapters} adapters"
        elif name in ("infer_vllm", "score_candidates"):
            row = f"{name} {item}"
        else:
            continue
        hours[row] = hours.get(row, 0.0) + seconds * slower / 3600
    total = sum(hours.values())
    base_methods = [name for name, method in s["infer"].methods.items() if method.model == "base"]
    base_hours = sum(value for stage, value in hours.items() if stage.split()[-1] in base_methods)
    return hours | {"one candidate set": total, "both candidate sets": 2 * total - base_hours}
