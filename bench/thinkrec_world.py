"""Gain of vectors in the embedded world.   python -m bench.thinkrec_world FOLDER [FOLDER OF ANOTHER RUN ...]

A folder is a checkout in which `kitrec profile use variants=thinkrec` and `dvc repro evaluate_thinkrec` have run (`.`:
this one). AUC and UAUC of the held-out items among their candidates (set A): text alone, text with vectors, an
adapter per group, paired: the same users are resampled for each. Text alone is the best text stage of all folders: give
one that was trained as long as both stages together (`-S thinkrec.stages.text.training.updates=1100`), and one of a
single objective (thinkrec.objective: reasoning_ratio 0, theta 1, gamma 0), which is compared with the first folder
stage by stage."""

import sys
from pathlib import Path
from typing import Any

import polars as pl

from bench.claims import Claim, at_least, at_most, publish
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.core.tables import read
from kitrec.evaluation.auc_intervals import AUCEstimate, like_prediction_auc, paired_difference
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.thinkrec.params import ThinkRec

STAGES = ("text", "projector", "groups")
RESAMPLES = 2000
COMMAND = "dvc repro evaluate_thinkrec; python -m bench.thinkrec_world . LONGER_TEXT SINGLE_OBJECTIVE"


def main(folders: list[Path]) -> None:
    """Compare all stages with the best text alone, and those of further runs with the first run's."""
    _same_records(folders)
    runs = {folder: {s: _ranked(folder, s) for s in STAGES if _has(folder, s)} for folder in folders}
    first = runs[folders[0]]
    if missing := [stage for stage in STAGES[:2] if stage not in first]:
        raise InputError(
            f"{folders[0]} has no rankings of {', '.join(missing)}: run `dvc repro evaluate_thinkrec` there"
        )
    text = max((run["text"] for run in runs.values() if "text" in run), key=lambda text: text.to_dict()["auc"])
    rows = [_row(folder, s, stage, text, first[s]) for folder, run in runs.items() for s, stage in run.items()]
    gain = paired_difference(first["projector"], text)
    spread = f"users resampled {RESAMPLES} times"
    claims: list[Claim] = [
        at_least("text with vectors less the best text alone, AUC", gain["auc"], 0.0, "", COMMAND, spread=spread),
        at_least("updates of text alone, of those of both stages together", _updates_share(folders), 1.0, "", COMMAND),
        at_most("p of that difference, paired", gain["auc_p"], 0.01, "", COMMAND, spread=spread),
    ]
    details: dict[str, Any] = {"embedded world, set A": rows}
    metrics = folders[0] / "metrics/thinkrec/groups.json"
    if metrics.exists():
        routing = files.read_json(metrics)["routing"]
        shares = ", ".join(f"{share:.2f}" for share in routing.pop("share_of_adapter"))
        details["who answered test users: one group, the general adapter, a mixture"] = [
            {**routing, "shares of general and groups": shares}
        ]
    publish("thinkrec_world", claims, details)


def _updates_share(folders: list[Path]) -> float:
    """Return the updates of the longest text stage of all folders, of those of the first's text and projector."""
    stages = [params.load(ThinkRec, "thinkrec", folder / params.FILE).stages for folder in folders]
    both = stages[0].text.training.updates + stages[0].projector.training.updates
    return max(stage.text.training.updates for stage in stages) / both


def _same_records(folders: list[Path]) -> None:
    """Refuse runs of different users or candidates, whose paired p means nothing."""
    records = [read(folder / "data/records/setA/test.parquet", RECORDS) for folder in folders]
    for folder, table in zip(folders, records, strict=True):
        if not table.equals(records[0]):
            raise InputError(f"{folder} has other records than {folders[0]}: use runs of one seed and one world")


def _has(folder: Path, stage: str) -> bool:
    return (folder / f"data/rankings/thinkrec-{stage}").is_dir()


def _ranked(folder: Path, stage: str) -> AUCEstimate:
    records: pl.DataFrame = read(folder / "data/records/setA/test.parquet", RECORDS)
    return like_prediction_auc(
        read(folder / f"data/rankings/thinkrec-{stage}/setA.parquet", RANKINGS), records, RESAMPLES, seed=0
    )


def _row(folder: Path, stage: str, run: AUCEstimate, text: AUCEstimate, first: AUCEstimate) -> dict[str, Any]:
    p = params.load(ThinkRec, "thinkrec", folder / params.FILE)
    metrics, ahead, ahead_of_first = run.to_dict(), paired_difference(run, text), paired_difference(run, first)
    return {
        "stage": stage,
        "reasoning": p.objective.reasoning_ratio,
        "updates": getattr(p.stages, stage).training.updates,
        "logit": p.objective.logit,
        "merge": p.routing.merge if stage == "groups" else "",
        "auc": round(metrics["auc"], 4),
        "auc_interval": f"{metrics['auc_low']:.4f} to {metrics['auc_high']:.4f}",
        "uauc": round(metrics["uauc"], 4),
        "uauc_interval": f"{metrics['uauc_low']:.4f} to {metrics['uauc_high']:.4f}",
        "ahead_of_text": round(ahead["auc"], 4),
        "p": ahead["auc_p"],
        "ahead_of_first_run": round(ahead_of_first["auc"], 4),
        "p_of_that": ahead_of_first["auc_p"],
    }


if __name__ == "__main__":
    try:
        main([Path(name) for name in sys.argv[1:] or ["."]])
    except InputError as problem:
        sys.exit(f"error: {problem}")
