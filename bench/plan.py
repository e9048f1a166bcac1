"""What `kitrec plan cpu` says of the shipped params, against the cost ledgers of a run of them.   python -m bench.plan

Read from metrics/cost, where `make repro` has left the ledgers of all stages; nothing is run here."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.claims import at_most, publish
from bench.running import start
from kitrec.cli.measured_rates import measured_card
from kitrec.cli.plan import PlannedStage, planned_stages
from kitrec.config.sections import validate_params
from kitrec.core import files

COMMAND = "python -m bench.plan"
LEDGERS = Path("metrics/cost")
ABOUT = """The plan counts the work from params.yaml alone and divides it by speeds that other benchmarks measured on
other days; a ledger is what a stage took. `ratio` is planned by taken: above 1 the plan was too long. Its errors, and
their reasons:

* A training of a model over item ids is planned with all its epochs; patience ends nearly all earlier.
* A process starts in 1.25 s in the plan, as stages without torch do; with torch and transformers it takes some 7 s.
* An answer is planned as half of its budget: thoughts need about that, direct answers less.
* Scoring is planned by a benchmark of short prompts; behind a thought there is more to read.
* Memory is that of the base's tensors and a reserve of 1.5 GiB, a ledger's peak that of the whole process: the
  libraries of training and engine take about 1 GiB more. Light stages have no memory plan.
* The training speed of the CPU is that of the same four trainings, in `bench.pipeline`: that part is nearly a repeat.
* The speeds are of a machine that did nothing else. A ledger of a busy one is longer.
"""


def main() -> None:
    """Compare plan and ledgers by stage, and publish."""
    stages = planned_stages(validate_params(), measured_card("cpu"))
    rows = [row for stage in stages if (row := _row(stage))]
    planned, taken = (sum(row[side] for row in rows) for side in ("planned s", "taken s"))
    learning = [row for row in rows if row["stage"].startswith(("train_dualft", "train_singleft"))]
    far = max(abs(np.log(row["ratio"])) for row in learning)
    claims = [
        at_most("all stages, planned by taken", max(planned / taken, taken / planned), 2, "x", COMMAND, peer="ledger"),
        at_most("a fine-tuning, at most off by", float(np.exp(far)), 2, "x", COMMAND, peer="ledger"),
    ]
    totals = {"stage": "all", "planned s": round(planned, 1), "taken s": round(taken, 1)}
    totals |= {"ratio": round(planned / taken, 2), "planned MiB": "–", "taken MiB": "–"}
    publish("plan", claims, {"By stage": [*rows, totals]}, ABOUT)


def _row(stage: PlannedStage) -> dict[str, Any] | None:
    path = LEDGERS / f"{stage.name}.json"
    if not path.is_file() or stage.seconds is None:
        return None
    ledger = files.read_json(path)
    return {
        "stage": stage.name,
        "planned s": round(stage.seconds, 1),
        "taken s": ledger["seconds"],
        "ratio": round(stage.seconds / ledger["seconds"], 2),
        "planned MiB": "–" if stage.memory is None else round(stage.memory.needed * 1024),
        "taken MiB": ledger["peak_memory_mib"],
    }


if __name__ == "__main__":
    start(main, __doc__)
