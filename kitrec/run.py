"""A finished run as functions, for notebooks and scripts: scores, comparisons, means by core, single users.

Everything is read from the tables of the run; nothing is trained. Frames are polars, ids and columns those of
kitrec/schemas. Intervals and p-values are drawn with the run's seed, so they are those of the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from kitrec.core import params, tables
from kitrec.core.errors import InputError
from kitrec.evaluation.comparisons import comparisons, requested_items
from kitrec.evaluation.params import Evaluation, Family
from kitrec.evaluation.score_matrix import ScoreMatrix, score_matrix
from kitrec.evaluation.strata_means import means_by_core, strata_means
from kitrec.preprocessing.params import Data
from kitrec.prompts.shown_items import candidate_items, history_items
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import METRICS, SCORES

Kind = Literal["scored", "written"]
_COMPARED = ["metric", "n", "mean", "other_mean", "difference", "low", "high", "p_permutation", "effect", "size"]


@dataclass(frozen=True)
class User:
    """A test user. Every frame has a column `target`: some users have a record in both target domains."""

    user_id: str
    history: pl.DataFrame  # target, domain, item_id, title, categories, rating; oldest first
    candidates: pl.DataFrame  # target, item_id, title, categories, ground_truth, and the rank by each method
    answers: pl.DataFrame  # target, method, status, confidence, text
    scores: pl.DataFrame  # the user's rows of `Run.scores`


@dataclass(frozen=True)
class Run:
    """A project folder in which the pipeline has run, seen through one of its test sets."""

    folder: Path
    test_set: str

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Scores of every method, kind of ranking and test record, with the strata of the user."""
        return tables.read(self.folder / f"data/scores/set{self.test_set}.parquet", SCORES)

    @property
    def methods(self) -> list[str]:
        """Names of the evaluated methods."""
        return self.scores["method"].unique().sort().to_list()

    def compare(self, method: str, other: str, kind: Kind = "scored") -> pl.DataFrame:
        """Return `method` minus `other`, a row per metric: means over records, difference with its 95 % interval by
        resampled users, p of the paired permutation test, Cohen's d. `n` counts users; p is not corrected."""
        if method == other:
            raise InputError(f"{method} is compared with itself; choose two of {', '.join(self.methods)}")
        family = Family(kind=kind, metrics=list(METRICS), pairs=[(method, other)])
        pair = pl.concat([self._scored(name, kind) for name in (method, other)])
        requested = {name: items for each in (method, other) for name, items in self._requested(each).items()}
        drawn = {"permutations": self._evaluation.permutations, **self._drawn}
        table = comparisons(score_matrix(pair), family, answer_items=requested, **drawn)
        return table.select(_COMPARED)

    def cold_start(self, metric: str = "hit@1", kind: Kind = "scored") -> pl.DataFrame:
        """Return the means of a metric by method, target domain and core (target interactions, the held-out one
        included), each with its 95 % interval."""
        if metric not in METRICS:
            raise InputError(f"{metric!r} is no metric; there are {', '.join(METRICS)}")
        full = score_matrix(self.scores.filter(kind=kind))
        kept = [number for number, column in enumerate(full.columns) if column.metric == metric]
        one_metric = ScoreMatrix(full.records, tuple(full.columns[k] for k in kept), full.values[:, kept])
        means = strata_means(one_metric, min_users=self._evaluation.min_users, **self._drawn)
        return means_by_core(means, metric).drop("kind").rename({metric: "mean"})

    def user(self, user_id: str) -> User:
        """Return a test user: history, candidates with the ranks that each method gave them, answers, scores."""
        scores = self.scores.filter(user_id=user_id)
        if scores.is_empty():
            raise InputError(f"{user_id!r} is no test user of set {self.test_set}; see `run.scores['user_id']`")
        records = self._records.filter(user_id=user_id).to_dicts()
        history = [row for record in records for row in _history(record, self._items)]
        candidates = pl.concat([self._candidates(record) for record in records])
        answers = pl.concat([self._answers(method, records) for method in self.methods])
        return User(user_id, pl.DataFrame(history), candidates, answers, scores)

    @cached_property
    def _records(self) -> pl.DataFrame:
        return tables.read(self.folder / f"data/records/set{self.test_set}/test.parquet", RECORDS)

    @cached_property
    def _items(self) -> dict[str, dict[str, Any]]:
        rows = tables.read(self.folder / "data/items.parquet", ITEMS).iter_rows(named=True)
        return {row["item_id"]: row for row in rows}

    @cached_property
    def _rankings(self) -> dict[str, pl.DataFrame]:
        """Rankings by method; those of the reference methods share a folder."""
        read: dict[str, pl.DataFrame] = {}
        for method in self.methods:
            folder = self.folder / "data/rankings"
            source = folder / method if (folder / method).exists() else folder / "references"
            table = tables.read(source / f"set{self.test_set}.parquet", RANKINGS)
            read[method] = table.filter(method=method)
        return read

    @cached_property
    def _evaluation(self) -> Evaluation:
        return params.load(Evaluation, "evaluation", self.folder / params.FILE)

    @property
    def _drawn(self) -> dict[str, int]:
        seed = params.load(int, "seed", self.folder / params.FILE)
        return {"resamples": self._evaluation.resamples, "seed": seed}

    def _scored(self, method: str, kind: str) -> pl.DataFrame:
        rows = self.scores.filter(method=method, kind=kind)
        if rows.is_empty():
            ranked = self.scores.filter(kind=kind)["method"].unique().sort().to_list()
            raise InputError(f"{method!r} has no {kind} ranking; these have one: {', '.join(ranked)}")
        return rows

    def _requested(self, method: str) -> dict[str, int]:
        return requested_items(self._rankings[method])

    def _candidates(self, record: Mapping[str, Any]) -> pl.DataFrame:
        """Return the candidates of a record in the order shown; tied ranks are shared."""
        shown = candidate_items(record, self._items)
        rows = [
            _item(record["target"], item, facts) for item, facts in zip(record["candidate_ids"], shown, strict=True)
        ]
        table = pl.DataFrame(rows).with_columns(ground_truth=pl.col("item_id") == record["gt_item_id"])
        for method, ranked in self._rankings.items():
            scored = ranked.filter(record_id=record["record_id"], kind="scored").select("item_ids", "scores")
            ranks = scored.explode("item_ids", "scores").select(
                pl.col("item_ids").alias("item_id"), pl.col("scores").rank("average", descending=True).alias(method)
            )
            table = table.join(ranks, on="item_id", how="left", maintain_order="left") if scored.height else table
        return table

    def _answers(self, method: str, records: list[dict[str, Any]]) -> pl.DataFrame:
        """Return what a method wrote for these records; nothing of a method that writes no answers."""
        targets = pl.DataFrame([{name: record[name] for name in ("record_id", "target")} for record in records])
        parsed = self._rankings[method].filter(kind="written").join(targets, on="record_id")
        path = self.folder / f"data/answers/{method}/set{self.test_set}.parquet"
        texts = tables.read(path, ANSWERS) if parsed.height else pl.DataFrame(schema=dict(ANSWERS.columns))
        joined = parsed.join(texts.select("record_id", "text"), on="record_id", how="left")
        return joined.select("target", "method", "status", "confidence", "text")


def load_run(folder: str | Path = ".", test_set: str | None = None) -> Run:
    """Return the run of a project folder; `test_set` (A or B) defaults to the set of its headline."""
    path = Path(folder) / params.FILE
    sets = params.value(Data, "data.test_sets", path)
    chosen = params.value(Data, "data.candidate_set", path) if test_set is None else test_set
    if chosen not in sets:
        raise InputError(f"{chosen!r} is no test set of this run; there are {', '.join(sets)}")
    return Run(Path(folder), chosen)


def _history(record: Mapping[str, Any], items: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a record's history: books, then items of the target domain."""
    rows = []
    for side in ("source", "target"):
        shown = history_items(record, items, side)
        for item, facts, rating in zip(record[f"{side}_items"], shown, record[f"{side}_ratings"], strict=True):
            domain = items[item]["domain"] if item in items else None
            rows.append({**_item(record["target"], item, facts), "domain": domain, "rating": rating})
    return rows


def _item(target: str, item: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"target": target, "item_id": item, "title": facts["title"], "categories": list(facts["categories"] or [])}
