"""Real people and what they took next: all methods of finished runs.   python -m bench.quality_real FOLDER [...]

Each folder is a clone in which `make real` has ended; several are further trainings, on the same test records. A run of
another base, target domain or number of candidates gets a page of its own. Tables: Hit@1 and NDCG@10 by how many items
of the target domain are shown, means over trainings. Claims: the differences that the question asks for,
by the paired permutation test over users, or, of several trainings, by users and trainings as two sources of variance.
Stories: five users of set A."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from bench import figures
from bench.claims import Claim, at_most, publish
from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import users_alone, users_and_trainings
from kitrec.core.randomness import generator
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.scores import SCORES

SHOWN = {  # user types without their domains
    "source_only": "none",
    "cold_start_2core": "1",
    "cold_start_3core": "2",
    "cold_start_4core": "3",
    "overlapping": "4 or more",
}
ALL, NONE, METRICS, PERMUTATIONS, BAR = "all", "none", ("hit@1", "ndcg@10"), 10_000, 0.01
CLAIMS = [  # a method, the one it should be ahead of, the candidate set, the films shown, the metric
    *(("embedding", other, "A", NONE, "hit@1") for other in ("popularity", "random_walk", "sasrec", "minilm")),
    ("embedding", "popularity", "B", NONE, "hit@1"),
    *(("embedding", other, "A", ALL, "ndcg@10") for other in ("popularity", "tfidf", "minilm")),
    *(("title", other, which, NONE, "hit@1") for other in ("popularity", "title_zero_shot") for which in "AB"),
    *(("title", other, which, ALL, "ndcg@10") for other in ("popularity", "title_zero_shot") for which in "AB"),
    *(
        (f"{name}_{titles}", name, which, ALL, "ndcg@10")
        for name in ("random_walk", "sasrec")
        for titles in ("embedding", "title")
        for which in "AB"
    ),
]
STORY_METHODS, LISTED = ("embedding", "random_walk", "sasrec"), 3
USUAL = {"base": "smollm2-135m", "target": "movies", "candidates": "20"}  # of the page proper
DRAWN = {"A": "set A: as popular as the truth", "B": "set B: at random"}
DRAWN_METHODS = (
    "random_walk_embedding",
    "random_walk",
    "sasrec",
    "bert4rec",
    "embedding",
    "title",
    "minilm",
    "tfidf",
    "popularity",
)


def main(folders: list[Path]) -> None:
    """Publish tables, claims and stories of finished runs."""
    runs = {which: same_users([read_scores(folder, which) for folder in folders]) for which in "AB"}
    claims = [claim(runs[row[2]], *row) for row in CLAIMS if {row[0], row[1]} <= set(runs["A"][0]["method"])]
    details: dict[str, Any] = {
        f"set {which}, {metric}": table(pl.concat(runs[which]), metric) for which in "AB" for metric in METRICS
    }
    drawn = {DRAWN[which]: details[f"set {which}, {METRICS[-1]}"] for which in "AB"}
    ending = "".join(f"_{what}" for what in _run(folders[0]).values() if what not in USUAL.values())
    figures.by_films_shown(f"real_by_films_shown{ending}", drawn, [*SHOWN.values()], [*DRAWN_METHODS])
    publish(f"quality_real{ending}", claims, details | stories(folders[0]))


def read_scores(folder: Path, which: str) -> pl.DataFrame:
    """Return method, user, films shown and metrics of a run, sorted."""
    rows = tables.read(folder / f"data/scores/set{which}.parquet", SCORES).filter(pl.col("kind") == "scored")
    rows = rows.select("method", "user_id", shown(), *METRICS)
    return rows.sort("method", "user_id")


def shown() -> pl.Expr:
    """Return how many items of the target domain a user type is shown."""
    return pl.col("user_type").str.extract(f"^({'|'.join(SHOWN)})").replace(SHOWN).alias("shown")


def same_users(runs: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the runs; refuse those of other methods or users."""
    keys = [run.select("method", "user_id", "shown") for run in runs]
    if not all(key.equals(keys[0]) for key in keys):
        raise InputError("the runs differ in methods or test users: repeat trainings on the same records")
    return runs


def table(scores: pl.DataFrame, metric: str) -> list[dict[str, Any]]:
    """Return one row per method: its mean of all users and of those with as many films shown, best first."""
    means = scores.pivot("shown", index="method", values=metric, aggregate_function="mean")
    over_all = scores.group_by("method").agg(pl.col(metric).mean().alias(ALL))
    ordered = over_all.join(means, on="method").select("method", ALL, *SHOWN.values()).sort(ALL, descending=True)
    return ordered.with_columns(pl.selectors.float().round(3)).to_dicts()


def claim(runs: list[pl.DataFrame], ahead: str, behind: str, which: str, shown: str, metric: str) -> Claim:
    """Return the p-value of a method being ahead of another, of two sides; 1 where it is behind."""
    pair = np.stack([[_values(run, name, shown, metric) for run in runs] for name in (ahead, behind)])  # [2, R, U]
    differences = (pair[0] - pair[1])[:, :, None]
    alone = bool((pair == pair[:, :1]).all())  # trained once, or nothing was drawn
    rng = generator(0, "claims")
    test = users_alone(differences[0], PERMUTATIONS, rng) if alone else users_and_trainings(differences)
    means = pair.mean(axis=(1, 2))
    return at_most(
        f"set {which}, {shown} shown: {ahead} ahead of {behind} in {metric}, p",
        float(test.p[0]) if means[0] > means[1] else 1.0,
        BAR,
        "",
        "python -m bench.quality_real FOLDER",
        peer=behind,
        repeats=1 if alone else len(runs),
        spread=f"{means[0]:.3f} against {means[1]:.3f}, {pair.shape[2]} users" + ", users alone" * alone,
    )


def _values(run: pl.DataFrame, method: str, shown: str, metric: str) -> np.ndarray:
    rows = run.filter(pl.col("method") == method)
    return (rows if shown == ALL else rows.filter(pl.col("shown") == shown))[metric].to_numpy()


def stories(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return, for the first user of each number of films shown, what was shown and what was ranked first."""
    items = tables.read(folder / "data/items.parquet", ITEMS)
    titles = dict(zip(items["item_id"], items["title"], strict=True))
    records = _test_records(folder).with_columns(shown()).sort("record_id", descending=True)
    first = {row["shown"]: row for row in records.to_dicts()}
    ranked = {method: _first_items(folder, method) for method in STORY_METHODS}
    return {f"A user with {count} shown, set A": _story(first[count], titles, ranked) for count in SHOWN.values()}


def _run(folder: Path) -> dict[str, str]:
    """Return what tells runs apart: base, target domain, candidates."""
    p = yaml.safe_load((folder / "params.yaml").read_text())
    base, target = Path(p["base"]["path"]).name, p["domains"]["targets"][0]
    return {"base": base, "target": target, "candidates": str(len(_test_records(folder)["candidate_ids"][0]))}


def _test_records(folder: Path) -> pl.DataFrame:
    return tables.read(folder / "data/records/setA/test.parquet", RECORDS, leave_out=TEXT_COLUMNS)


def _story(
    record: dict[str, Any], titles: dict[str, str], ranked: dict[str, dict[str, list[str]]]
) -> list[dict[str, str]]:
    lists = {
        "source items, newest last": record["source_items"][-10:],
        "target items, newest last": record["target_items"][-10:],
        "candidates": record["candidate_ids"],
        "taken next": [record["gt_item_id"]],
    }
    lists |= {
        f"{method}: first {LISTED}": by_record[record["record_id"]][:LISTED] for method, by_record in ranked.items()
    }
    return [{"what": what, "titles": "; ".join(titles[item] for item in ids) or "–"} for what, ids in lists.items()]


def _first_items(folder: Path, method: str) -> dict[str, list[str]]:
    rows = tables.read(folder / f"data/rankings/{method}/setA.parquet", RANKINGS)
    return dict(zip(rows["record_id"], rows["item_ids"], strict=True))


if __name__ == "__main__":
    try:
        main([Path(name) for name in sys.argv[1:]])
    except InputError as problem:
        sys.exit(f"error: {problem}")
