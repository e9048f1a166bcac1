"""Rank all methods of the embedded world, beside its oracle.   python -m bench.world_baselines FOLDER [SEARCHED]

FOLDER is a checkout in which `kitrec profile use variants=all_methods` (or those of idrec.train alone) and `dvc repro
evaluate` have run. Every trained baseline must beat popularity and chance; the oracle knows the ground truth. SEARCHED
is another one with `idrec.trials: 11`: the same random search for every method, chosen on the development users, whose
settings and gains stand beside those of the defaults."""

import sys
from pathlib import Path
from typing import Any

from bench.claims import Claim, at_least, publish
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.recommenders.params import IdRec

FLOORS = ("popularity", "random")  # hard negatives are popular: popularity may fall below chance
LEAST_TRIALS = 10
KEYS = ("hit@1", "hit@10", "mrr", "ndcg@10")
METRIC = "ndcg@10"
COMMAND = "dvc repro evaluate; python -m bench.world_baselines . SEARCHED"


def main(folder: Path, searched: Path | None) -> None:
    """Order all methods by NDCG@10 of their scored rankings on the test users of the headline set."""
    means, trained = _means(folder), params.value(IdRec, "idrec.train", folder / params.FILE)
    oracle, floor = means["oracle"][METRIC], max(means[name][METRIC] for name in FLOORS)
    order = sorted(means, key=lambda name: -means[name][METRIC])
    rows: list[dict[str, Any]] = [
        {"method": name, **_rounded(means[name]), "of_the_oracle's_ndcg@10": round(means[name][METRIC] / oracle, 3)}
        for name in order
    ]
    about = {
        "peer": "the better of popularity and random",
        "repeats": 1,
        "spread": f"{means['oracle']['n']} test users",
    }
    claims: list[Claim] = [
        at_least(f"{name}: NDCG@10", means[name][METRIC], round(floor, 4), "", COMMAND, **about) for name in trained
    ]
    details: dict[str, Any] = {"embedded world, by NDCG@10": rows}
    if searched:
        details |= _search(means, searched)
    publish("world_baselines", claims, details)


def _search(means: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what the search chose and what it was worth on the test users, and every setting that was tried."""
    best, trained = _means(folder), params.value(IdRec, "idrec.train", folder / params.FILE)
    trials = params.value(IdRec, "idrec.trials", folder / params.FILE)
    if trials < LEAST_TRIALS:
        raise InputError(f"{folder}: idrec.trials is {trials}, an equal search needs {LEAST_TRIALS} or more")
    tried = {name: files.read_json(folder / f"metrics/train/idrec-{name}.json")["tried"] for name in trained}
    rows, settings = [], []
    for name, setting in tried.items():
        on_development = [trial[METRIC] for trial in setting]
        chosen = max(range(len(setting)), key=lambda k: -1.0 if on_development[k] is None else on_development[k])
        values = ", ".join(f"{key} {value}" for key, value in setting[chosen].items() if key != METRIC)
        rows.append({
            "method": name, "development, default": on_development[0], "development, best": on_development[chosen],
            "test, default": round(means[name][METRIC], 4), "test, best": round(best[name][METRIC], 4),
            "chosen trial": chosen, "setting": values,
        })  # fmt: skip
        settings += [{"method": name, "trial": number, **trial} for number, trial in enumerate(setting)]
    columns = dict.fromkeys(key for row in settings for key in row)
    every = [{key: row.get(key) for key in columns} for row in settings]
    return {f"equal search, {trials} settings a method, by NDCG@10": rows, "every setting": every}


def _means(folder: Path) -> dict[str, Any]:
    means = {m: kinds["scored"] for m, kinds in files.read_json(folder / "metrics/evaluate.json").items()}
    trained = params.value(IdRec, "idrec.train", folder / params.FILE)
    missing = [name for name in (*trained, "oracle") if name not in means]
    if missing:
        raise InputError(f"{folder}: {', '.join(missing)} is not evaluated; add it to evaluation.methods")
    return means


def _rounded(means: dict[str, float]) -> dict[str, float]:
    return {key: round(means[key], 3) for key in KEYS}


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "."), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    except InputError as problem:
        sys.exit(f"error: {problem}")
