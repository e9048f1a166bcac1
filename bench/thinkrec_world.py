"""What do vectors add in the embedded world?   python -m bench.thinkrec_world FOLDER [FOLDER OF ANOTHER RUN ...]

A folder is a checkout in which `kitrec profile use variants=thinkrec` and `dvc repro evaluate_thinkrec` have run (`.`:
this one). AUC and UAUC of the test truths among their candidates (set A): text alone, text with vectors, an adapter a
group, paired, as the same users are resampled for each. Text alone is the best text stage of all folders: give one that
learned as long as both stages together (`-S thinkrec.stages.text.training.updates=1100`), and one of a single objective
(thinkrec.objective: reasoning_ratio 0, theta 1, gamma 0), which is compared with the first folder stage by stage."""

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
    """Compare the stages of all runs with the best text alone, those of further runs with the first's too."""
    _same_questions(folders)
    runs = {folder: {s: _judged(folder, s) for s in STAGES if _has(folder, s)} for folder in folders}
    first = runs[folders[0]]
    if missing := [stage for stage in STAGES[:2] if stage not in first]:
        raise InputError(
            f"{folders[0]} has no rankings of {', '.join(missing)}: run `dvc repro evaluate_thinkrec` there"
        )
    alone = max((own["text"] for own in runs.values() if "text" in own), key=lambda own: own.to_dict()["auc"])
    rows = [_row(folder, s, own, alone, first[s]) for folder, run in runs.items() for s, own in run.items()]
    gain = paired_difference(first["projector"], alone)
    spread = f"users resampled {RESAMPLES} times"
    claims: list[Claim] = [
        at_least("text with vectors less the best text alone, AUC", gain["auc"], 0.0, "", COMMAND, spread=spread),
        at_least("updates that text alone was allowed, of both stages together", _allowed(folders), 1.0, "", COMMAND),
        at_most("p of that difference, paired", gain["auc_p"], 0.01, "", COMMAND, spread=spread),
    ]
    details: dict[str, Any] = {"embedded world, set A": rows}
    told = folders[0] / "metrics/thinkrec/groups.json"
    if told.exists():
        routing = files.read_json(told)["routing"]
        shares = ", ".join(f"{share:.2f}" for share in routing.pop("share_of_adapter"))
        details["who answered test users: one group, the general adapter, a mixture"] = [
            {**routing, "shares of general and groups": shares}
        ]
    publish("thinkrec_world", claims, details)


def _allowed(folders: list[Path]) -> float:
    """Of the longest text stage of all folders, beside text and projector of the first."""
    stages = [params.load(ThinkRec, "thinkrec", folder / params.FILE).stages for folder in folders]
    both = stages[0].text.training.updates + stages[0].projector.training.updates
    return max(own.text.training.updates for own in stages) / both


def _same_questions(folders: list[Path]) -> None:
    """Pairs are of the same users and candidates, or the p of a difference means nothing."""
    asked = [read(folder / "data/records/setA/test.parquet", RECORDS) for folder in folders]
    for folder, own in zip(folders, asked, strict=True):
        if not own.equals(asked[0]):
            raise InputError(f"{folder} was asked other records than {folders[0]}: use runs of one seed and one world")


def _has(folder: Path, stage: str) -> bool:
    return (folder / f"data/rankings/thinkrec-{stage}").is_dir()


def _judged(folder: Path, stage: str) -> AUCEstimate:
    records: pl.DataFrame = read(folder / "data/records/setA/test.parquet", RECORDS)
    return like_prediction_auc(
        read(folder / f"data/rankings/thinkrec-{stage}/setA.parquet", RANKINGS), records, RESAMPLES, seed=0
    )


def _row(folder: Path, stage: str, own: AUCEstimate, alone: AUCEstimate, first: AUCEstimate) -> dict[str, Any]:
    p = params.load(ThinkRec, "thinkrec", folder / params.FILE)
    told, ahead, ahead_of_first = own.to_dict(), paired_difference(own, alone), paired_difference(own, first)
    return {
        "stage": stage,
        "reasoning": p.objective.reasoning_ratio,
        "updates": getattr(p.stages, stage).training.updates,
        "auc": round(told["auc"], 4),
        "auc_interval": f"{told['auc_low']:.4f} to {told['auc_high']:.4f}",
        "uauc": round(told["uauc"], 4),
        "uauc_interval": f"{told['uauc_low']:.4f} to {told['uauc_high']:.4f}",
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
