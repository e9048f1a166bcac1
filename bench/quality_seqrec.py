"""Quality of the sequential recommenders on public data.   python -m bench.quality_seqrec beauty_s3rec sasrec_ce 3

Leave-one-out: each user's last item is the test, the one before it the validation; ranked among all items, those of the
user's history left out; the epoch chosen by validation NDCG@10. Runs are kept in bench/results/seqrec_runs and not
repeated; a run of another setting is refused. Without arguments the kept runs are rendered."""

import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.claims import Claim, at_least, publish
from bench.public_data import folder, items
from bench.render import RESULTS
from bench.running import kept
from bench.seqrec_settings import SETTINGS, setting
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.item_features import ItemFeatures, build_item_features
from kitrec.recommenders.data.sequences import LeaveOneOut, leave_one_out
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.params import BERT4Rec
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.ranking.sampled import sample_negatives, sampled_metrics
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, train_sequence_model
from kitrec.training.progress import training_bar
from kitrec.training.state import Progress

RUNS = RESULTS / "seqrec_runs"
BARS = {  # data, setting -> bar of NDCG@10, and its origin
    ("beauty_s3rec", "sasrec_bce"): (0.0318, "SASRec of S3-Rec's table (64 wide; ours 128, cosine)"),
    ("beauty_s3rec", "sasrec_bce_64"): (0.0318, "SASRec of S3-Rec's table, of this width"),
    ("beauty_s3rec", "sasrec_ce"): (0.045, "our aim with cross-entropy; SASRec of LlamaRec's table .0481"),
    ("beauty_s3rec", "bert4rec_boost"): (0.034, "our aim; BERT4Rec of S3-Rec's table .0170, of LlamaRec's .0372"),
    ("beauty_s3rec", "gru4rec"): (0.0137, "GRU4Rec of S3-Rec's table"),
    ("beauty_s3rec", "caser_ce"): (0.0176, "Caser of S3-Rec's table (its own loss; ours cross-entropy)"),
    ("toys_s3rec", "sasrec_bce"): (0.0374, "SASRec of S3-Rec's table (64 wide; ours 128, cosine)"),
    ("toys_s3rec", "sasrec_ce"): (0.0374, "SASRec of S3-Rec's table"),
    ("lastfm_s3rec", "sasrec_bce_long"): (0.0390, "SASRec of S3-Rec's table"),
}
RECOMMENDED = {  # data -> our setting, and the best published NDCG@10 of a model over item ids
    "beauty_s3rec": ("sasrec_ce", 0.0533, "LRURec of LlamaRec's table, on nearly the same data"),
    "toys_s3rec": ("sasrec_ce", 0.0374, "SASRec of S3-Rec's table"),
    "lastfm_s3rec": ("sasrec_bce_long", 0.0390, "SASRec of S3-Rec's table"),
}
ABOUT = """Leave-one-out, ranked among all items, those of the history left out; the epoch chosen on the validation;
sd over seeds, `standard_error_of_users` of one run. S3-Rec's table (CIKM 2020, its repository) has this protocol
too, but scores the items of the history 0 instead of leaving them out; its GRU4Rec and BERT4Rec columns are under-
trained (LlamaRec's table has BERT4Rec at .0372 where it has .0170). LlamaRec's Beauty is another run of the same
preprocessing. `ndcg@10_uniform` and `_popularity` rank among 100 sampled items. Settings: bench/seqrec_settings.py.
Claims called "recommended" are the settings we recommend, by `python -m bench.quality_seqrec DATA SETTING 3`; on your
files `kitrec profile use idrec=reviews && kitrec fit FILE --method sasrec --to FOLDER` trains the same
as `sasrec_ce`. Caser with its own loss (three negatives) stays below the table's Caser. Whether genres and titles
help on mlsmall_raw is a question, not a bar; nothing is published for it under this protocol, and its titles are
TF-IDF vectors. Minutes are wall-clock time of one thread beside other work (some runs stood still for minutes); those
to the best epoch are an upper bound of the time to the published figures."""


def main(arguments: list[str]) -> None:
    """Run the given setting, if any, and publish the kept runs."""
    if arguments:
        if len(arguments) != 3 or arguments[1] not in SETTINGS or not arguments[2].isdecimal():
            raise InputError(f"give a data set, a setting ({', '.join(SETTINGS)}) and a number of seeds")
        data, name, seeds = arguments[0], arguments[1], int(arguments[2])
        read = read_interactions(folder(data) / "interactions.tsv")
        for seed in range(seeds):
            target, p = RUNS / data / f"{name}-{seed}.json", asdict(setting(name, len(read.users)))
            if not kept(target, p):
                files.write_json({**_run(data, name, read, seed), "setting": p}, target)
    _publish()


def _run(data: str, name: str, read: Interactions, seed: int) -> dict[str, Any]:
    p, split = setting(name, len(read.users)), leave_one_out(read.sequences)
    features = ItemFeatures()
    if isinstance(p.model, BERT4Rec) and p.model.metadata.features:
        features, _ = build_item_features(items(data), read.vocabulary, p.model.metadata.features, seed)
    validation = Validation(split.before_validation, split.validation)
    began, minutes = time.perf_counter(), []
    with (
        tempfile.TemporaryDirectory() as work,
        training_bar(f"{data} {name} {seed}", p.training.epochs, SELECTION_METRIC, quiet=False) as show,
    ):

        def on_epoch_end(progress: Progress) -> None:
            minutes.append((time.perf_counter() - began) / 60)
            show(progress)

        trained = train_sequence_model(
            p, features, len(read.vocabulary), split.train, validation, seed, Path(work), on_epoch_end
        )
    better, equal = ranks(trained.model, split.before_test, split.test)
    middle = better + (equal + 1) / 2
    gains = np.where(middle <= 10, 1 / np.log2(middle + 1), 0.0)
    return {
        "test": {key: round(value, 5) for key, value in mean_metrics(better, equal).items()},
        "sampled": _sampled(trained.model, split, len(read.vocabulary)),
        "standard_error": round(float(gains.std(ddof=1) / np.sqrt(len(gains))), 5),
        "validation": round(trained.progress.best, 5),
        "epoch": trained.progress.best_epoch,
        "epochs": trained.progress.epoch,
        "minutes": round(minutes[-1], 1),
        "minutes_to_best": round(minutes[trained.progress.best_epoch - 1], 1),
        "threads": torch.get_num_threads(),
        "gates": {key: round(value, 3) for key, value in trained.metrics().items() if key.startswith("val_gate/")},
    }


def _sampled(model: Recommender, split: LeaveOneOut, count: int) -> dict[str, dict[str, float]]:
    """Rank among 100 items that the user did not touch, the same for every method and seed."""
    popularity = np.bincount(split.train.items - 1, minlength=count)
    metrics = {}
    for name, weights in {"uniform": np.ones(count), "popularity": popularity}.items():
        negatives = sample_negatives(generator(0, "sampled evaluation", name), split.complete, weights)
        values = sampled_metrics(model, split.before_test, split.test, negatives)
        metrics[name] = {key: round(value, 5) for key, value in values.items()}
    return metrics


def _publish() -> None:
    claims: list[Claim] = []
    tables: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(RUNS.iterdir()):
        by_name = {
            name: [files.read_json(file) for file in sorted(path.glob(f"{name}-[0-9]*.json"))] for name in SETTINGS
        }
        by_name = {name: runs for name, runs in by_name.items() if runs}
        tables[path.name] = [_row(name, runs) for name, runs in by_name.items()]
        for name, runs in by_name.items():
            bar_, best = BARS.get((path.name, name)), RECOMMENDED.get(path.name, ("", 0.0, ""))
            claims += [_claim(path.name, name, runs, *bar_)] if bar_ else []
            claims += [_claim(path.name, f"recommended, {name}", runs, *best[1:])] if best[0] == name else []
    claims += _fusions(RUNS / "mlsmall_raw")
    publish("quality_seqrec", claims, tables, ABOUT)


def _claim(data: str, name: str, runs: list[dict[str, Any]], bar_: float, origin: str) -> Claim:
    values = [run["test"]["ndcg@10"] for run in runs]
    margin = 1.96 * float(np.mean([run["standard_error"] for run in runs]))  # over users, the same for all seeds
    spread = f"sd {np.std(values, ddof=1):.4f}, " if len(runs) > 1 else ""
    mean, command = float(np.mean(values)), f"python -m bench.quality_seqrec {data} {name.split()[-1]} 3"
    spread += f"95 % of users {mean - margin:.4f} to {mean + margin:.4f}"
    return at_least(f"{data}: {name}, NDCG@10", mean, bar_, "", command, peer=origin, repeats=len(runs), spread=spread)


def _fusions(folder: Path) -> list[Claim]:
    """Claim a gain from genres and titles: the same seeds with each fusion and without."""
    claims = []
    for fusion in ("gate", "add", "concat"):
        pairs = [
            (path, folder / path.name.replace(fusion, "boost")) for path in sorted(folder.glob(f"bert4rec_{fusion}-*"))
        ]
        gains = [
            files.read_json(path)["test"]["ndcg@10"] - files.read_json(plain)["test"]["ndcg@10"]
            for path, plain in pairs
            if plain.exists()
        ]
        if gains:
            spread = f"of seeds {', '.join(f'{gain:+.4f}' for gain in gains)}"
            command = f"python -m bench.quality_seqrec mlsmall_raw bert4rec_{fusion} 3"
            text = f"mlsmall_raw: NDCG@10 gained by genres and titles, {fusion}"
            about = {"peer": "BERT4Rec on items alone", "repeats": len(gains), "spread": spread}
            claims.append(at_least(text, float(np.mean(gains)), 0.0, "", command, **about))
    return claims


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
        "gates": _mean_gates(runs),
        "best_epochs": ", ".join(str(run["epoch"]) for run in runs),
        "minutes_to_best": round(float(np.mean([run["minutes_to_best"] for run in runs])), 1),
        "minutes_a_run": round(float(np.mean([run["minutes"] for run in runs])), 1),
    }


def _mean_gates(runs: list[dict[str, Any]]) -> str | None:
    names = runs[0]["gates"]
    means = {key.removeprefix("val_gate/"): np.mean([run["gates"][key] for run in runs]) for key in names}
    return ", ".join(f"{key} {value:.3f}" for key, value in means.items()) or None


def _sampled_mean(runs: list[dict[str, Any]], how: str) -> float | None:
    """Average the runs that were ranked among sampled items too."""
    values = [run["sampled"][how]["ndcg@10"] for run in runs if "sampled" in run]
    return round(float(np.mean(values)), 4) if values else None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
