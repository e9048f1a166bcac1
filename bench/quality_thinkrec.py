"""Quality of predicted ratings, positive or not.   KITREC_PUBLIC_DATA=FOLDER python -m bench.quality_thinkrec mf 3

CoLLM's split of MovieLens-1M (ml1m_collm): AUC over all test rows, UAUC over users with both labels; everything is
chosen on the validation rows. Settings: mf, sasrec (our models over item ids), thinkrec_text and thinkrec (the tiny
base on a sample of the rows), and both with _smollm2 (make base-smollm2). Beside each the AUC of the items' mean labels
in training, on the same test rows: what is liked by everybody. Runs are kept in bench/results/thinkrec_runs and not
repeated; without arguments the kept runs are rendered."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.metrics import roc_auc_score

from bench.claims import Claim, at_least, publish
from bench.public_data import folder
from bench.render import RESULTS
from bench.thinkrec_settings import LABELLED, LLMS, OBJECTIVE, scores_of_llm
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.evaluation.auc_intervals import bootstrap_auc
from kitrec.thinkrec.labelled_rows import PARTS, LabelledRows, read_labelled, read_titles
from kitrec.thinkrec.labelled_training import fit_labelled

DATA, RUNS = "ml1m_collm", RESULTS / "thinkrec_runs"
BARS = {  # setting -> AUC and UAUC of CoLLM's table
    "mf": (0.6482, 0.6361, "MF of CoLLM's table"),
    "sasrec": (0.7078, 0.6884, "SASRec of CoLLM's table"),
}
AUC_BARS = {"thinkrec_smollm2": (0.70, "our aim, on the sampled rows")}
RESAMPLES = 1000


def main(arguments: list[str]) -> None:
    """Run the given setting, if any, and publish the kept runs."""
    if arguments:
        names = [*LABELLED, *LLMS]
        if len(arguments) != 2 or arguments[0] not in names:
            raise InputError(f"give a setting ({', '.join(names)}) and a number of seeds")
        name, seeds = arguments[0], int(arguments[1])
        parts = [read_labelled(folder(DATA), part) for part in PARTS]
        for seed in range(seeds):
            target = RUNS / f"{name}-{seed}.json"
            if not target.exists():
                files.write_json(_run(name, parts, seed), target)
    _publish()


def _run(name: str, parts: list[LabelledRows], seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    train, valid, test = parts
    if name in LABELLED:
        trained = fit_labelled(LABELLED[name], train, valid, seed)
        scores, chosen = trained.scores(test), {**trained.rows[trained.best_epoch - 1], "epochs": len(trained.rows)}
    else:
        with tempfile.TemporaryDirectory() as work:
            test, scores, chosen = scores_of_llm(LLMS[name], parts, read_titles(folder(DATA)), seed, Path(work))
    return {
        "test": bootstrap_auc(test.labels, scores, test.users, RESAMPLES, seed=0).to_dict(),
        "auc_of_item_means": round(float(roc_auc_score(test.labels, item_means(train, test))), 4),
        "rows": len(test),
        "users": len(set(test.users)),
        "chosen": {key: round(float(value), 5) for key, value in chosen.items()},
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "threads": torch.get_num_threads(),
    }


def item_means(train: LabelledRows, test: LabelledRows) -> np.ndarray:
    """Return the mean label of each test row's item in training, with one row of the overall mean added to each."""
    table = pl.DataFrame({"item": train.items, "label": train.labels})
    overall = float(train.labels.mean())
    means = table.group_by("item").agg(mean=(pl.col("label").sum() + overall) / (pl.len() + 1))
    joined = pl.DataFrame({"item": test.items}).join(means, on="item", how="left", maintain_order="left")
    return joined["mean"].fill_null(overall).to_numpy()


def _publish() -> None:
    claims: list[Claim] = []
    rows: list[dict[str, Any]] = []
    for name in (*LABELLED, *LLMS):
        runs = [files.read_json(path) for path in sorted(RUNS.glob(f"{name}-*.json"))]
        if not runs:
            continue
        rows.append(_row(name, runs))
        if name in BARS:
            auc_bar, uauc_bar, peer = BARS[name]
            for key, bar in (("auc", auc_bar), ("uauc", uauc_bar)):
                spread = f"sd {rows[-1][f'{key}_sd']}"
                about = {"peer": peer, "repeats": len(runs), "spread": spread}
                text, command = f"{DATA}: {name}, {key.upper()}", f"python -m bench.quality_thinkrec {name} {len(runs)}"
                claims.append(at_least(text, rows[-1][key], bar, "", command, **about))
        if name in AUC_BARS:
            bar, peer = AUC_BARS[name]
            about = {"peer": peer, "repeats": len(runs), "spread": rows[-1]["auc_interval"]}
            command = f"python -m bench.quality_thinkrec {name} {len(runs)}"
            claims.append(at_least(f"{DATA}: {name}, AUC", rows[-1]["auc"], bar, "", command, **about))
    publish("quality_thinkrec", claims, {DATA: rows})


def _row(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"setting": name, "logit": OBJECTIVE.logit if name in LLMS else ""}
    for key in ("auc", "uauc"):
        values = np.array([run["test"][key] for run in runs])
        row[key] = round(float(values.mean()), 4)
        row[f"{key}_sd"] = round(float(values.std(ddof=1)), 4) if len(runs) > 1 else None
        row[f"{key}_interval"] = f"{runs[0]['test'][f'{key}_low']:.4f} to {runs[0]['test'][f'{key}_high']:.4f}"
    more = {
        "auc_of_item_means": runs[0].get("auc_of_item_means"),
        "rows": runs[0]["rows"],
        "users": runs[0]["users"],
        "seeds": len(runs),
    }
    return row | more | {"minutes_a_run": round(float(np.mean([run["minutes"] for run in runs])), 1)}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as problem:
        sys.exit(f"error: {problem}")
