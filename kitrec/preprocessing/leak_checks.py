"""Leaks through the data: test answers among training pairs, in histories, or recognisable in candidate lists.

Every check returns the number of affected rows and an example; none relies on the code that built the data.
References: Ji et al. 2023 (time leaks in recommender evaluation); Kaufman et al. 2012 (leakage in data mining)."""

import numpy as np
import polars as pl
from scipy import sparse
from scipy.stats import binomtest, chisquare

from kitrec.preprocessing.audit_input import NO_LEAK, AuditInput, CheckResult, affected

ALPHA = 1e-6  # p-value below which a statistic is a leak: a clean data set raises a false alarm once in a million
MAX_POPULARITY_SHARE = 0.9  # a ground truth more popular than this share of its negatives is a leak
CHUNK = 20_000


def users_in_training_and_test(data: AuditInput) -> CheckResult:
    """Find test users among the training users."""
    return _users_in_both(data, "train")


def users_in_development_and_test(data: AuditInput) -> CheckResult:
    """Find test users among the development users, whose records select the best checkpoint."""
    return _users_in_both(data, "development")


def users_in_preference_and_test(data: AuditInput) -> CheckResult:
    """Find test users among the preference (validation) users, whose ground truths DPO and GRPO learn from."""
    return _users_in_both(data, "preference")


def _users_in_both(data: AuditInput, role: str) -> CheckResult:
    both = data.records["test"].join(data.records[role], on="user_id", how="semi")
    return affected(both, f"{{}} is a test user and a {role} user", "user_id")


def held_out_pair_in_training(data: AuditInput) -> CheckResult:
    """Find held-out (user, item) pairs of test users in the training histories."""
    held_out = data.records["test"].select("user_id", item_id="gt_item_id")
    return affected(held_out.join(data.training_history, on=["user_id", "item_id"]), "{} with {}", "user_id", "item_id")


def held_out_pair_in_preference(data: AuditInput) -> CheckResult:
    """Find held-out (user, item) pairs of test users among the preference records: held out or in a history there."""
    records = data.records["preference"]
    shown = pl.concat_list("source_items", "target_items", "gt_item_id")
    pairs = records.select("user_id", item_id=shown).explode("item_id").unique(maintain_order=True)
    held_out = data.records["test"].select("user_id", item_id="gt_item_id")
    return affected(held_out.join(pairs, on=["user_id", "item_id"]), "{} with {}", "user_id", "item_id")


def future_in_history(data: AuditInput) -> CheckResult:
    """Find histories with the held-out item itself, or with items of its time or later."""
    history = pl.concat_list("source_items", "target_items")
    own_item = data.all_records.filter(history.list.contains(pl.col("gt_item_id")))
    if own_item.height:
        return affected(own_item, "{} shows its held-out item {}", "record_id", "gt_item_id")
    shown = data.all_records.select("record_id", "user_id", "gt_time", item_id=history)
    times = data.interactions.select("user_id", "item_id", "time")
    late = (
        shown.explode("item_id", empty_as_null=False)
        .join(times, on=["user_id", "item_id"])
        .filter(pl.col("time") >= pl.col("gt_time"))
    )
    return affected(late, "{} shows {}, of its held-out item's time or later", "record_id", "item_id")


def ground_truth_stands_out(data: AuditInput) -> CheckResult:
    """Test whether the position of the ground truth, or the length of its text, gives it away."""
    candidates = data.candidates
    tenth = (pl.col("position") * 10 // pl.col("size")).alias("tenth")
    by_tenth = candidates.group_by(tenth).agg(
        pl.col("is_ground_truth").sum().alias("observed"), (1 / pl.col("size")).sum().alias("expected")
    )
    if chisquare(by_tenth["observed"], by_tenth["expected"]).pvalue < ALPHA:
        positions = by_tenth.sort("tenth")["observed"].to_list()
        return sum(positions), f"positions of the ground truth by tenths of the list: {positions}"
    longest = candidates.filter(pl.col("length") == pl.col("length").max().over("record_id"))
    lists = longest.group_by("record_id").agg(
        pl.col("is_ground_truth").any(), (pl.len() / pl.col("size").first()).alias("p")
    )
    wins, chance = int(lists["is_ground_truth"].sum()), float(lists["p"].to_numpy().mean())
    if binomtest(wins, lists.height, chance, alternative="greater").pvalue < ALPHA:
        return (
            wins,
            f"the ground truth has the longest text in {wins} of {lists.height} lists, by chance in {chance:.0%}",
        )
    return NO_LEAK


def ground_truth_is_popular(data: AuditInput) -> CheckResult:
    """Test whether the ground truth is nearly always more popular in training than its negatives."""
    popularity = data.training_history["item_id"].value_counts()
    counted = data.candidates.join(popularity, on="item_id", how="left").with_columns(pl.col("count").fill_null(0))
    ground_truth = counted.filter(pl.col("is_ground_truth")).select("record_id", gt_count="count")
    negatives = counted.filter(~pl.col("is_ground_truth")).join(ground_truth, on="record_id")
    share = (pl.col("gt_count") > pl.col("count")) + 0.5 * (pl.col("gt_count") == pl.col("count"))
    mean = float(negatives.select(share.cast(pl.Float64)).to_numpy().mean())
    if mean > MAX_POPULARITY_SHARE:
        return ground_truth.height, f"the ground truth is more popular than {mean:.0%} of its negatives"
    return NO_LEAK


def only_ground_truth_has_metadata(data: AuditInput) -> CheckResult:
    """Find lists in which the ground truth alone has metadata."""
    lists = data.candidates.group_by("record_id").agg(
        (pl.col("has_metadata") & pl.col("is_ground_truth")).any().alias("gt_named"),
        pl.col("has_metadata").sum().alias("named"),
    )
    leaking = lists.filter(pl.col("gt_named") & (pl.col("named") == 1))
    return affected(leaking, "{}: only the ground truth has metadata", "record_id")


def interacted_negatives(data: AuditInput) -> CheckResult:
    """Find negatives that their user interacted with at any time."""
    negatives = data.candidates.filter(~pl.col("is_ground_truth"))
    interacted = negatives.join(data.interactions.select("user_id", "item_id"), on=["user_id", "item_id"])
    return affected(interacted, "{} lists {} as a negative, which its user interacted with", "record_id", "item_id")


def neighbours_mined_outside_training(data: AuditInput) -> CheckResult:
    """Find neighbours that no training user interacted with together with an item of the history."""
    test = data.records["test"]
    origins = test.select("record_id", item_id="candidate_ids", origin="candidate_origins").explode("item_id", "origin")
    neighbours = origins.filter(pl.col("origin") == "neighbour")
    if neighbours.is_empty():
        return NO_LEAK
    history = test.select("record_id", item_id=pl.concat_list("source_items", "target_items"))
    supported = _co_interacted(data, neighbours, history.explode("item_id", empty_as_null=False))
    message = "{} lists {} as a neighbour: no training user links them"
    return affected(neighbours.filter(~supported), message, "record_id", "item_id")


def _co_interacted(data: AuditInput, pairs: pl.DataFrame, history: pl.DataFrame) -> pl.Series:
    """Return per (record, item) whether a training user has both the item and one of the record's history."""
    items = {item: k for k, item in enumerate(data.items["item_id"])}
    users = {user: k for k, user in enumerate(data.training_history["user_id"].unique())}
    records = {record: k for k, record in enumerate(history["record_id"].unique())}
    interactions = _incidence(data.training_history["user_id"], users, data.training_history["item_id"], items)
    record_items = _incidence(history["record_id"], records, history["item_id"], items)
    record_users = (record_items @ interactions.T).tocsr()  # [record, user]
    item_users = interactions.T.tocsr()  # [item, user]
    record_rows = np.array([records.get(r, -1) for r in pairs["record_id"]])
    item_rows = np.array([items[i] for i in pairs["item_id"]])
    linked = np.zeros(pairs.height, dtype=bool)
    for start in range(0, pairs.height, CHUNK):
        part = slice(start, start + CHUNK)
        linked[part] = (record_users[record_rows[part]].multiply(item_users[item_rows[part]])).sum(axis=1) > 0
    return pl.Series(linked & (record_rows >= 0))


def _incidence(
    rows: pl.Series, row_of: dict[str, int], columns: pl.Series, column_of: dict[str, int]
) -> sparse.csr_array:
    indices = ([row_of[r] for r in rows], [column_of[c] for c in columns])
    return sparse.csr_array((np.ones(len(rows)), indices), shape=(len(row_of), len(column_of)))


def teacher_outputs_on_test(data: AuditInput) -> CheckResult:
    """Find test records with a teacher's output, which depends on the ground truth."""
    return affected(data.records["test"].filter(pl.col("output").is_not_null()), "{} has an output", "record_id")
