"""How good are the sequential recommenders on public data?   python -m bench.quality_seqrec beauty_s3rec sasrec_ce 3

Leave-one-out: each user's last item is the test, the one before it the validation; ranked among all items, those of the
user's history left out; the epoch chosen by validation NDCG@10 alone. Every run is kept in bench/results/seqrec_runs; a
run that is there is not repeated, one of another setting refused. `python -m bench.quality_seqrec` alone writes the
tables from what is there."""

import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.claims import RESULTS, Claim, at_least, publish
from bench.kept_runs import kept
from bench.public_data import folder, items
from bench.seqrec_settings import SETTINGS, setting
from kitrec import files
from kitrec.errors import InputError
from kitrec.idrec.epochs import bar
from kitrec.idrec.fitting import fit
from kitrec.idrec.interaction_files import Interactions, read_interactions
from kitrec.idrec.item_features import known_of
from kitrec.idrec.known import Known
from kitrec.idrec.params import BERT4Rec
from kitrec.idrec.ranking import places, quality
from kitrec.idrec.recommender import Recommender
from kitrec.idrec.sampled import sampled_quality, untouched
from kitrec.idrec.sequences import LeaveOneOut, leave_one_out
from kitrec.idrec.training import Progress, Validation
from kitrec.randomness import generator

RUNS = RESULTS / "seqrec_runs"
BARS = {  # data, method -> NDCG@10 that it is to reach, and whose it is
    ("beauty_s3rec", "sasrec_bce"): (0.0318, "SASRec of S3-Rec's table"),
    ("beauty_s3rec", "sasrec_ce"): (0.045, "our aim with cross-entropy; SASRec of LlamaRec's table .0481"),
    ("beauty_s3rec", "bert4rec_boost"): (0.034, "our aim; BERT4Rec of S3-Rec's table .0170, of LlamaRec's .0372"),
    ("beauty_s3rec", "gru4rec"): (0.0137, "GRU4Rec of S3-Rec's table"),
    ("beauty_s3rec", "caser_ce"): (0.0176, "Caser of S3-Rec's table"),
    ("toys_s3rec", "sasrec_bce"): (0.0374, "SASRec of S3-Rec's table"),
    ("toys_s3rec", "sasrec_ce"): (0.0376, "S3-Rec, the best of its table"),
    ("lastfm_s3rec", "sasrec_bce_long"): (0.0390, "SASRec of S3-Rec's table"),
}


def main(arguments: list[str]) -> None:
    """Run what is asked for, then write the tables."""
    if arguments:
        if len(arguments) != 3 or arguments[1] not in SETTINGS or not arguments[2].isdecimal():
            raise InputError(f"give a data set, a setting ({', '.join(SETTINGS)}) and a number of seeds")
        data, name, seeds = arguments[0], arguments[1], int(arguments[2])
        read = read_interactions(folder(data) / "interactions.tsv")
        for seed in range(seeds):
            target, own = RUNS / data / f"{name}-{seed}.json", asdict(setting(name, len(read.users)))
            if not kept(target, own):
                files.write_json({**_run(data, name, read, seed), "setting": own}, target)
    _publish()


def _run(data: str, name: str, read: Interactions, seed: int) -> dict[str, Any]:
    p, split = setting(name, len(read.users)), leave_one_out(read.sequences)
    known = Known()
    if isinstance(p.model, BERT4Rec) and p.model.metadata.features:
        known, _ = known_of(items(data), read.vocabulary, p.model.metadata.features, seed)
    validation = Validation(split.before_validation, split.validation)
    began, minutes = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as work, bar(f"{data} {name} {seed}", p.course.epochs, quiet=False) as told:

        def clocked(progress: Progress) -> None:
            minutes.append((time.perf_counter() - began) / 60)
            told(progress)

        fitted = fit(p, known, len(read.vocabulary), split.train, validation, seed, Path(work), clocked)
    better, equal = places(fitted.model, split.before_test, split.test)
    ranks = better + (equal + 1) / 2
    gains = np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)
    return {
        "test": {key: round(value, 5) for key, value in quality(better, equal).items()},
        "sampled": _sampled(fitted.model, split, len(read.vocabulary)),
        "standard_error": round(float(gains.std(ddof=1) / np.sqrt(len(gains))), 5),
        "validation": round(fitted.progress.best, 5),
        "epoch": fitted.progress.best_epoch,
        "epochs": fitted.progress.epoch,
        "minutes": round(minutes[-1], 1),
        "minutes_to_best": round(minutes[fitted.progress.best_epoch - 1], 1),
        "threads": torch.get_num_threads(),
        "gates": {key: round(value, 3) for key, value in fitted.told().items() if key.startswith("val_gate/")},
    }


def _sampled(model: Recommender, split: LeaveOneOut, count: int) -> dict[str, dict[str, float]]:
    """Among 100 items that the user did not touch; every method and seed sees the same ones."""
    popularity = np.bincount(split.train.items - 1, minlength=count)
    found = {}
    for name, weights in {"uniform": np.ones(count), "popularity": popularity}.items():
        negatives = untouched(generator(0, "sampled evaluation", name), split.judged, weights)
        own = sampled_quality(model, split.before_test, split.test, negatives)
        found[name] = {key: round(value, 5) for key, value in own.items()}
    return found


def _publish() -> None:
    claims: list[Claim] = []
    tables: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RUNS.iterdir()):
        for name in SETTINGS:
            runs = [files.read_json(own) for own in sorted(path.glob(f"{name}-*.json"))]
            if runs:
                row = _row(name, runs)
                tables.setdefault(path.name, []).append(row)
                if bar_ := BARS.get((path.name, name)):
                    spread = f"sd {row['sd']}"
                    claims.append(
                        at_least(
                            f"{path.name}: {name}, NDCG@10",
                            row["ndcg@10"],
                            bar_[0],
                            "",
                            _command(path.name, name),
                            peer=bar_[1],
                            repeats=len(runs),
                            spread=spread,
                        )
                    )
    publish("quality_seqrec", claims, tables)


def _row(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    ndcg = np.array([run["test"]["ndcg@10"] for run in runs])
    mean = {key: round(float(np.mean([run["test"][key] for run in runs])), 4) for key in ("hit@10", "ndcg@10", "mrr")}
    return {
        "setting": name,
        **mean,
        **{f"ndcg@10_{how}": _sampled_mean(runs, how) for how in ("uniform", "popularity")},
        "sd": round(float(ndcg.std(ddof=1)), 4) if len(runs) > 1 else None,
        "standard_error_of_users": runs[0]["standard_error"],
        "seeds": len(runs),
        "gates": ", ".join(f"{key.removeprefix('val_gate/')} {value}" for key, value in runs[0]["gates"].items())
        or None,
        "best_epochs": ", ".join(str(run["epoch"]) for run in runs),
        "minutes_to_best": round(float(np.mean([run["minutes_to_best"] for run in runs])), 1),
        "minutes_a_run": round(float(np.mean([run["minutes"] for run in runs])), 1),
    }


def _sampled_mean(runs: list[dict[str, Any]], how: str) -> float | None:
    """Of the runs that were ranked among sampled items too."""
    known = [run["sampled"][how]["ndcg@10"] for run in runs if "sampled" in run]
    return round(float(np.mean(known)), 4) if known else None


def _command(data: str, name: str) -> str:
    return f"python -m bench.quality_seqrec {data} {name} 3"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
