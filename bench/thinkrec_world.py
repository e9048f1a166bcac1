"""What do vectors add in the embedded world?   python -m bench.thinkrec_world FOLDER [FOLDER OF ANOTHER RUN ...]

A folder is a checkout in which `kitrec profile use variants=thinkrec` and `dvc repro infer_thinkrec` have run (`.`:
this one). AUC and UAUC of the test truths among their candidates (set A): text alone, text with vectors, an adapter a
group, paired, as the same users are resampled for each. Another run's stages are compared with the first folder's,
those of a run with `-S thinkrec.objective.reasoning=0.0`, say."""

import sys
from pathlib import Path
from typing import Any

import polars as pl

from bench.claims import Claim, at_least, at_most, publish
from kitrec import params
from kitrec.contracts.rankings import RANKINGS
from kitrec.contracts.records import RECORDS
from kitrec.errors import InputError
from kitrec.tables import read
from kitrec.thinkrec.answering import liking
from kitrec.thinkrec.liking_metrics import Judged, better
from kitrec.thinkrec.params import Objective

STAGES = ("text", "projector", "groups")
RESAMPLES = 2000
COMMAND = "dvc repro infer_thinkrec; python -m bench.thinkrec_world ."


def main(folders: list[Path]) -> None:
    """Compare the stages of the first run, and the text stages of all."""
    first, *others = folders
    found = {stage: _judged(first, stage) for stage in STAGES if _has(first, stage)}
    rows = [_row(first, stage, own, found["text"]) for stage, own in found.items()]
    for folder in others:
        rows += [_row(folder, s, _judged(folder, s), found[s]) for s in found if _has(folder, s)]
    gain = better(found["projector"], found["text"])
    spread = f"users resampled {RESAMPLES} times"
    claims: list[Claim] = [
        at_least("text with vectors less text alone, AUC", gain["auc"], 0.0, "", COMMAND, spread=spread),
        at_most("p of that difference, paired", gain["auc_p"], 0.01, "", COMMAND, spread=spread),
    ]
    publish("thinkrec_world", claims, {"embedded world, set A": rows})


def _has(folder: Path, stage: str) -> bool:
    return (folder / f"data/rankings/thinkrec-{stage}").is_dir()


def _judged(folder: Path, stage: str) -> Judged:
    records: pl.DataFrame = read(folder / "data/records/setA/test.parquet", RECORDS)
    return liking(read(folder / f"data/rankings/thinkrec-{stage}/setA.parquet", RANKINGS), records, RESAMPLES, seed=0)


def _row(folder: Path, stage: str, own: Judged, other: Judged) -> dict[str, Any]:
    p = params.load(Objective, "thinkrec.objective", folder / params.FILE)
    told = own.told()
    ahead = better(own, other)
    return {
        "stage": stage,
        "share_of_reasoning": p.reasoning,
        "auc": round(told["auc"], 4),
        "auc_interval": f"{told['auc_low']:.4f} to {told['auc_high']:.4f}",
        "uauc": round(told["uauc"], 4),
        "uauc_interval": f"{told['uauc_low']:.4f} to {told['uauc_high']:.4f}",
        "auc_ahead": round(ahead["auc"], 4),
        "p": ahead["auc_p"],
    }


if __name__ == "__main__":
    try:
        main([Path(name) for name in sys.argv[1:] or ["."]])
    except InputError as problem:
        sys.exit(f"error: {problem}")
