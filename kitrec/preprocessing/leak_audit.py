"""The leak audit: twelve ways in which test answers reach training or the prompt, each looked for in what was prepared.

Every check gives the rows (or the statistic) that show its leak; none of them trusts the code that drew the data.
References: Ji et al. 2023 (time leaks in recommender evaluation); Kaufman et al. 2012 (leakage in data mining)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from scipy.stats import binomtest, chisquare

from kitrec.core.errors import InputError
from kitrec.prompts.template import Item, Style, segments

SURE = 1e-6  # p below which a statistic is a leak: a clean data set raises a false alarm once in a million
POPULAR = 0.9  # the truth is more popular than this share of its negatives
SAMPLE = 200  # records that are rendered to look at the template
CHUNK = 20_000
STYLE = Style(thinking=True, answer_items=1, summaries=True)
Records = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class AuditInput:
    """What was prepared: role -> records of one set, items, all interactions of everybody at any time, and the
    (user, item) pairs that training users touched before their held-out items."""

    records: Records
    items: pl.DataFrame
    interactions: pl.DataFrame
    training_history: pl.DataFrame

    @cached_property
    def candidates(self) -> pl.DataFrame:
        """One row per candidate of every record: its place, whether it is the truth, the length of its text."""
        length = (
            pl.col("title").str.len_chars().fill_null(0) + pl.col("description").str.len_chars().fill_null(0)
        ).alias("length")
        rows = pl.concat(list(self.records.values())).select(
            "record_id",
            "user_id",
            "gt_item_id",
            pl.col("candidate_ids").alias("item_id"),
            pl.int_ranges(pl.col("candidate_ids").list.len()).alias("place"),
            pl.col("candidate_ids").list.len().alias("size"),
        )
        return (
            rows.explode("item_id", "place")
            .with_columns(is_truth=pl.col("item_id") == pl.col("gt_item_id"))
            .join(self.items.select("item_id", length), on="item_id", how="left", maintain_order="left")
        )


@dataclass(frozen=True)
class Finding:
    """A leak: how many rows show it, and one of them in words."""

    leak: str
    rows: int
    example: str


def audit(evidence: AuditInput) -> list[Finding]:
    """All leaks that are there."""
    findings = []
    for leak, check in CHECKS.items():
        rows, example = check(evidence)
        if rows:
            findings.append(Finding(leak, rows, example))
    return findings


def enforce(findings: Mapping[str, Sequence[Finding]], leaks: str, overlap: str) -> dict[str, dict[str, int]]:
    """Rows by set and leak, for the metrics. Raises unless `leaks` is `report`; users in two roles, which have a param
    of their own, raise unless `overlap` is `report`."""
    shown = [
        f"set {which}: {f.leak} ({f.rows}, e.g. {f.example})"
        for which, found in findings.items()
        for f in found
        if (overlap if f.leak in OF_USERS else leaks) != "report"
    ]
    if shown:
        raise InputError(
            "test answers leak, results would mean nothing:\n  "
            + "\n  ".join(shown)
            + "\nMend the data; or, where they are as their authors gave them, set source.leaks "
            "(of users: source.overlap) to `report`"
        )
    return {which: {f.leak: f.rows for f in found} for which, found in findings.items()}


Check = Callable[[AuditInput], tuple[int, str]]


def _shared_users(evidence: AuditInput) -> tuple[int, str]:
    """A test user who is a training user too."""
    return _users_in_both(evidence, "train")


def _picked_on_test(evidence: AuditInput) -> tuple[int, str]:
    """A test user among the development users, who choose the best checkpoint."""
    return _users_in_both(evidence, "development")


def _users_in_both(evidence: AuditInput, role: str) -> tuple[int, str]:
    both = evidence.records["test"].join(evidence.records[role], on="user_id", how="semi")
    return _shown(both, f"{{}} is a test user and a {role} user", "user_id")


def _truth_in_training(evidence: AuditInput) -> tuple[int, str]:
    """A held-out (user, item) pair of a test user among what is trained on."""
    held = evidence.records["test"].select("user_id", item_id="gt_item_id")
    return _shown(held.join(evidence.training_history, on=["user_id", "item_id"]), "{} with {}", "user_id", "item_id")


def _future_in_history(evidence: AuditInput) -> tuple[int, str]:
    """An item of the history shown that is the held-out one, or that the user met at its time or later."""
    history = pl.concat_list("source_items", "target_items")
    itself = _every(evidence).filter(history.list.contains(pl.col("gt_item_id")))
    if itself.height:
        return _shown(itself, "{} shows its held-out item {}", "record_id", "gt_item_id")
    shown = _every(evidence).select("record_id", "user_id", "gt_time", item_id=history)
    times = evidence.interactions.select("user_id", "item_id", "time")
    late = (
        shown.explode("item_id", empty_as_null=False)
        .join(times, on=["user_id", "item_id"])
        .filter(pl.col("time") >= pl.col("gt_time"))
    )
    return _shown(late, "{} shows {}, met at its held-out item's time or later", "record_id", "item_id")


def _truth_stands_out(evidence: AuditInput) -> tuple[int, str]:
    """The truth's place in the list, or the length of its text, gives it away."""
    candidates = evidence.candidates
    tenth = (pl.col("place") * 10 // pl.col("size")).alias("tenth")
    by_tenth = candidates.group_by(tenth).agg(
        pl.col("is_truth").sum().alias("seen"), (1 / pl.col("size")).sum().alias("expected")
    )
    if chisquare(by_tenth["seen"], by_tenth["expected"]).pvalue < SURE:
        places = by_tenth.sort("tenth")["seen"].to_list()
        return sum(places), f"places of the truth by tenths of the list: {places}"
    longest = candidates.filter(pl.col("length") == pl.col("length").max().over("record_id"))
    lists = longest.group_by("record_id").agg(pl.col("is_truth").any(), (pl.len() / pl.col("size").first()).alias("p"))
    wins, chance = int(lists["is_truth"].sum()), float(lists["p"].to_numpy().mean())
    if binomtest(wins, lists.height, chance, alternative="greater").pvalue < SURE:
        return wins, f"the truth has the longest text in {wins} of {lists.height} lists, by chance in {chance:.0%}"
    return 0, ""


def _truth_is_popular(evidence: AuditInput) -> tuple[int, str]:
    """The truth is nearly always more popular in training than its negatives."""
    popularity = evidence.training_history["item_id"].value_counts()
    counted = evidence.candidates.join(popularity, on="item_id", how="left").with_columns(pl.col("count").fill_null(0))
    truth = counted.filter(pl.col("is_truth")).select("record_id", own="count")
    beaten = counted.filter(~pl.col("is_truth")).join(truth, on="record_id")
    share = (pl.col("own") > pl.col("count")) + 0.5 * (pl.col("own") == pl.col("count"))
    mean = float(beaten.select(share.cast(pl.Float64)).to_numpy().mean())
    return (truth.height, f"the truth is more popular than {mean:.0%} of its negatives") if mean > POPULAR else (0, "")


def _only_truth_has_metadata(evidence: AuditInput) -> tuple[int, str]:
    """A list in which the truth alone has a title."""
    named = evidence.items.select("item_id", "has_metadata")
    lists = (
        evidence.candidates.join(named, on="item_id")
        .group_by("record_id")
        .agg(
            (pl.col("has_metadata") & pl.col("is_truth")).any().alias("truth"),
            pl.col("has_metadata").sum().alias("named"),
        )
    )
    return _shown(lists.filter(pl.col("truth") & (pl.col("named") == 1)), "{}: only the truth is named", "record_id")


def _liked_negatives(evidence: AuditInput) -> tuple[int, str]:
    """A negative that its user touched, before or after."""
    negatives = evidence.candidates.filter(~pl.col("is_truth"))
    touched = negatives.join(evidence.interactions.select("user_id", "item_id"), on=["user_id", "item_id"])
    return _shown(touched, "{} lists {} as a negative, which its user touched", "record_id", "item_id")


def _mined_on_test(evidence: AuditInput) -> tuple[int, str]:
    """A neighbour that no training user touched together with anything of the history: mined elsewhere."""
    test = evidence.records["test"]
    origins = test.select("record_id", item_id="candidate_ids", origin="candidate_origins").explode("item_id", "origin")
    near = origins.filter(pl.col("origin") == "neighbour")
    if near.is_empty():
        return 0, ""
    history = test.select("record_id", item_id=pl.concat_list("source_items", "target_items"))
    supported = _together(evidence, near, history.explode("item_id", empty_as_null=False))
    return _shown(
        near.filter(~supported), "{} lists {} as a neighbour: no training user links them", "record_id", "item_id"
    )


def _together(evidence: AuditInput, pairs: pl.DataFrame, history: pl.DataFrame) -> pl.Series:
    """Per (record, item): did a training user touch the item and one of the record's history?"""
    items = {item: k for k, item in enumerate(evidence.items["item_id"])}
    users = {user: k for k, user in enumerate(evidence.training_history["user_id"].unique())}
    records = {record: k for k, record in enumerate(history["record_id"].unique())}
    touched = _matrix(evidence.training_history["user_id"], users, evidence.training_history["item_id"], items)
    kindred = (_matrix(history["record_id"], records, history["item_id"], items) @ touched.T).tocsr()  # [record, user]
    fans = touched.T.tocsr()  # [item, user]
    known = np.array([records.get(r, -1) for r in pairs["record_id"]])
    wanted = np.array([items[i] for i in pairs["item_id"]])
    linked = np.zeros(pairs.height, dtype=bool)
    for start in range(0, pairs.height, CHUNK):
        part = slice(start, start + CHUNK)
        linked[part] = (kindred[known[part]].multiply(fans[wanted[part]])).sum(axis=1) > 0
    return pl.Series(linked & (known >= 0))


def _matrix(rows: pl.Series, row_of: dict[str, int], columns: pl.Series, column_of: dict[str, int]) -> sparse.csr_array:
    where = ([row_of[r] for r in rows], [column_of[c] for c in columns])
    return sparse.csr_array((np.ones(len(rows)), where), shape=(len(row_of), len(column_of)))


def _taught_on_test(evidence: AuditInput) -> tuple[int, str]:
    """A test or preference record with a teacher's output: the teacher has seen its truth."""
    asked = pl.concat([evidence.records[role] for role in ("test", "preference")])
    return _shown(asked.filter(pl.col("output").is_not_null()), "{} has an output", "record_id")


def _real_id_in_template(evidence: AuditInput) -> tuple[int, str]:
    """An item's id in the part of the prompt that is the same for all."""
    ids = set(evidence.items["item_id"])
    for record, items in _sample(evidence):
        found = segments(record, items, STYLE)
        named = ids.intersection((found.head + found.task).replace('"', " ").split())
        if named:
            return SAMPLE, f"the template of {record['record_id']} names {sorted(named)[0]}"
    return 0, ""


def _template_knows_truth(evidence: AuditInput) -> tuple[int, str]:
    """A prompt that changes when another candidate is called the truth."""
    different = [
        record["record_id"]
        for record, items in _sample(evidence)
        if segments(record, items, STYLE) != segments({**record, **_another_truth(record)}, items, STYLE)
    ]
    return (len(different), f"{different[0]} reads differently with another truth") if different else (0, "")


def _another_truth(record: Mapping[str, Any]) -> dict[str, str]:
    return {"gt_item_id": next(item for item in record["candidate_ids"] if item != record["gt_item_id"])}


def _sample(evidence: AuditInput) -> list[tuple[dict[str, Any], dict[str, Item]]]:
    """Some test records with the items they show."""
    records = list(evidence.records["test"].head(SAMPLE).iter_rows(named=True))
    wanted = {i for r in records for i in (*r["candidate_ids"], *r["source_items"], *r["target_items"])}
    shown = evidence.items.filter(pl.col("item_id").is_in(pl.Series(sorted(wanted)).implode()))
    items: dict[str, Item] = {row["item_id"]: row for row in shown.iter_rows(named=True)}
    return [(record, items) for record in records]


def _every(evidence: AuditInput) -> pl.DataFrame:
    return pl.concat(list(evidence.records.values()))


def _shown(rows: pl.DataFrame, words: str, *columns: str) -> tuple[int, str]:
    return (rows.height, words.format(*(rows[name][0] for name in columns))) if rows.height else (0, "")


OF_USERS = {"user in training and test", "checkpoint chosen on test users"}
CHECKS: dict[str, Check] = {
    "user in training and test": _shared_users,
    "held-out pair in training": _truth_in_training,
    "future item in a history": _future_in_history,
    "truth stands out by place or length": _truth_stands_out,
    "truth more popular than its negatives": _truth_is_popular,
    "truth alone has metadata": _only_truth_has_metadata,
    "real item id in the template": _real_id_in_template,
    "negative that the user touched": _liked_negatives,
    "hard negatives mined outside training": _mined_on_test,
    "teacher's output on test records": _taught_on_test,
    "checkpoint chosen on test users": _picked_on_test,
    "template depends on the truth": _template_knows_truth,
}
