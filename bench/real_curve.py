"""Real people: what more training users are worth.   python -m bench.real_curve FOLDER

FOLDER is a clone in which `make real` has ended. `embedding` (its towers alone), SASRec and the random walk learn from
shares of the same users, drawn by seed, each share inside the next; the test records of the run are ranked. With the
straight line through NDCG@10 by the logarithm of users, it says what a method would gain by more."""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench import figures
from bench.claims import publish
from bench.quality_real import ALL, NONE, shown
from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.evaluation.scoring import score
from kitrec.llm.base.pinning import read_pinned
from kitrec.recommenders.params import AnyMethod, RankingMethod
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.storage import load_model
from kitrec.recommenders.train import TrainingData, train_recommender
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.calibration import calibrate
from kitrec.titles.params import Embedding, TitleMethod
from kitrec.titles.questions import true_columns
from kitrec.titles.storage import load_method
from kitrec.titles.train import Inputs, train_method

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
METHODS = ("embedding", "sasrec", "random_walk")
METRICS = ("hit@1", "ndcg@10")
SEED = 0
ITEMS_FILE = Path("data/items.parquet")


def main(folder: Path) -> None:
    """Train on every share and publish the curve."""
    home = Path.cwd()
    os.chdir(folder)
    try:
        rows = _curve()
    finally:
        os.chdir(home)
    figures.by_users("real_by_users", rows)
    slopes = [_slope(rows, which, method) for which in "AB" for method in METHODS]
    publish("real_curve", [], {"by training users": rows, "NDCG@10 by a doubling of users": slopes})


def _curve() -> list[dict[str, Any]]:
    train = pl.concat(_interactions(role) for role in ("train", "others"))
    users = np.array(sorted(set(train["user_id"])))
    order = generator(SEED, "shares of users").permutation(len(users))
    rows = []
    for share in SHARES:
        kept = train.filter(pl.col("user_id").is_in(users[order[: round(share * len(users))]].tolist()))
        for method in METHODS:
            with tempfile.TemporaryDirectory() as work:
                rank = _train_embedding(kept, Path(work)) if method == "embedding" else _train(method, kept, Path(work))
                for which in "AB":
                    about = {"set": which, "users": round(share * len(users)), "method": method}
                    rows.append({**about, **_means(rank(which), method, which)})
                    print(rows[-1], flush=True)
    return rows


def _train_embedding(train: pl.DataFrame, work: Path) -> Callable[[str], list[list[float]]]:
    """Train the towers; return what ranks the test records of a set, in the form that development records choose."""
    p: Embedding = params.load(TitleMethod, "titles.methods.embedding")  # type: ignore[arg-type]  # a union
    p = replace(p, adapter_training=replace(p.adapter_training, updates=0))
    base, domains, items = read_pinned(), params.load(Domains, "domains"), tables.read(ITEMS_FILE, ITEMS)
    known = {role: _interactions(role) for role in ("development", "test")}
    records = _records("A", "development")
    (work / "work").mkdir()
    inputs = Inputs(base, domains, items, train, known["development"], records, SEED, work / "work")
    train_method(p, inputs, lambda *_: None, work / "model")
    model = load_method(work / "model", base, items, domains)

    def rank(which: str) -> list[list[float]]:
        development = _records(which, "development")
        form, _ = calibrate(model.evidence(development, known["development"]), true_columns(development))
        scores = form.scores(model.evidence(_records(which, "test"), known["test"]))
        return [values.tolist() for values in scores]

    return rank


def _train(method: str, train: pl.DataFrame, work: Path) -> Callable[[str], list[list[float]]]:
    """Train a recommender over item ids; return what ranks the test records of a set."""
    p: RankingMethod = params.load(AnyMethod, f"idrec.methods.{method}")  # type: ignore[arg-type]  # a union
    (work / "work").mkdir()
    data = TrainingData(SEED, tables.read(ITEMS_FILE, ITEMS), train, _interactions("development"), work / "work")
    train_recommender(p, data, lambda *_: None, work / "model")
    model = load_model(work / "model")
    return lambda which: score_records(model, _records(which, "test"), _interactions("test"), p.history).scores


def _means(scores: list[list[float]], method: str, which: str) -> dict[str, float]:
    records = _records(which, "test")
    scored = score(from_scores(method, records, scores), records)
    parts = {ALL: scored, NONE: scored.filter(shown() == NONE)}
    return {
        f"{metric}, {name}": round(float(np.mean(rows[metric].to_numpy())), 4)
        for name, rows in parts.items()
        for metric in METRICS
    }


def _slope(rows: list[dict[str, Any]], which: str, method: str) -> dict[str, Any]:
    measured = [row for row in rows if (row["set"], row["method"]) == (which, method)]
    doublings, values = np.log2([row["users"] for row in measured]), [row[f"ndcg@10, {ALL}"] for row in measured]
    slope, _ = np.polyfit(doublings, values, 1)
    last = values[-1] - values[-2]
    return {"set": which, "method": method, "slope": round(float(slope), 4), "last doubling": round(last, 4)}


def _interactions(role: str) -> pl.DataFrame:
    return tables.read(Path(f"data/interactions/{role}.parquet"), SPLIT_INTERACTIONS)


def _records(which: str, role: str) -> pl.DataFrame:
    return tables.read(Path(f"data/records/set{which}/{role}.parquet"), RECORDS, leave_out=TEXT_COLUMNS)


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2:
            raise InputError("give the folder of a clone in which `make real` has ended")
        main(Path(sys.argv[1]))
    except InputError as problem:
        sys.exit(f"error: {problem}")
