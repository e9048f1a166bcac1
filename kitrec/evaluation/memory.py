"""What a base knows of the test data by heart, and how methods do on items that it knows and on those it does not.

A line that the base continued (titles/memory.py) is a hit if it equals the truth in its words, whatever case, marks and
brackets. A text and its truth count once, however many records have them. The control compares the line with another
truth, the next one in a shuffled circle of the different truths: what popular names and common endings hit. Interval:
Clopper-Pearson; p: exact sign test over the pairs in which one of both is hit. A share above its control is knowledge
of the pair: by heart, or because the truth is the next volume of a series.

An item is known if the base completes its title from half of it, and not measured if the title has no other half.
Known items are popular ones: what a method that reads no title (item ids) gains on them is no memory of the base."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.score_matrix import ScoreMatrix, score_matrix
from kitrec.schemas.memory import PROBES, plain_words

GROUPS = ("known", "unknown", "not_measured")
METRICS = ("hit@1", "mrr", "ndcg@10")
Figures = dict[str, float | int | None]


def memory_figures(lines: pl.DataFrame, seed: int) -> dict[str, Figures]:
    """Return of each probe the share of truths that the base writes, that of shuffled ones, and their sign test."""
    return {name: _figures(lines.filter(probe=name), generator(seed, "memory", name)) for name in PROBES}


def known_items(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the items whose titles could be asked for, and whether the base knows each."""
    return _compared(lines.filter(probe="title")).select("item_id", known=pl.col("line") == pl.col("words"))


def scores_by_memory(
    scores: pl.DataFrame, records: pl.DataFrame, known: pl.DataFrame, resampling: Resampling, min_users: int
) -> dict[str, Any]:
    """Return the means of every ranking over the records whose held-out item is known, unknown and not measured."""
    m = score_matrix(scores)
    groups = records.select("record_id", item_id="gt_item_id").join(known, on="item_id", how="left")
    named = groups.with_columns(
        group=pl.when("known").then(pl.lit("known")).when(~pl.col("known")).then(pl.lit("unknown"))
    ).with_columns(pl.col("group").fill_null("not_measured"))
    group_of = m.records.join(named, on="record_id", how="left", validate="1:1", maintain_order="left")["group"]
    return {name: _means(m.select((group_of == name).to_numpy()), name, resampling, min_users) for name in GROUPS}


def _compared(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the lines with the words of the truth and of what was written; a truth without words is left out."""
    words = (pl.Series(name, _words(lines[column])) for name, column in (("words", "truth"), ("line", "written")))
    return lines.with_columns(*words).filter(pl.col("words") != "")


def _words(column: pl.Series) -> list[str]:
    return [plain_words(text) for text in column]


def _figures(lines: pl.DataFrame, rng: np.random.Generator) -> Figures:
    rows = _compared(lines).unique(["text", "words"], keep="first", maintain_order=True)
    truths = rows["words"].unique(maintain_order=True).to_list()
    if len(truths) < 2:
        return {"n": rows.height, **dict.fromkeys(("share", "low", "high", "shuffled", "p"))}
    hits = (rows["line"] == rows["words"]).to_numpy()
    others = rows["words"].replace_strict(_next_in_circle(truths, rng))
    chance = (rows["line"] == others).to_numpy()
    interval = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci()
    one_sided = int((hits & ~chance).sum()), int((chance & ~hits).sum())
    test = stats.binomtest(one_sided[0], sum(one_sided)) if sum(one_sided) else None
    return {
        "n": len(hits),
        "share": round(float(hits.mean()), 6),
        "low": round(float(interval.low), 6),
        "high": round(float(interval.high), 6),
        "shuffled": round(float(chance.mean()), 6),
        "p": 1.0 if test is None else round(float(test.pvalue), 6),
    }


def _next_in_circle(truths: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    circle = rng.permutation(truths).tolist()
    return dict(zip(circle, [*circle[1:], circle[0]], strict=True))


def _means(m: ScoreMatrix, group: str, resampling: Resampling, min_users: int) -> dict[str, Any]:
    """Return means with their intervals by method and kind; `few` where the users are."""
    methods: dict[str, dict[str, Figures]] = {}
    users = m.user_sums() if len(m.values) else None
    if users is not None:
        bounds = resampling.means_and_intervals(users, "memory", group)
        for column, mean, low, high in zip(m.columns, *bounds, strict=True):
            if column.metric in METRICS:
                values = {"": mean, "_low": low, "_high": high}
                named = {f"{column.metric}{end}": round(float(value), 6) for end, value in values.items()}
                methods.setdefault(column.method, {}).setdefault(column.kind, {}).update(named)
    count = 0 if users is None else len(users.counts)
    return {"n": len(m.values), "users": count, "few": count < min_users, "methods": methods}
