"""Each of the twelve leaks is seeded into clean records and found; clean records raise no alarm."""

from dataclasses import replace

import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.preprocessing import leak_audit
from kitrec.prompts.template import segments


@pytest.fixture(scope="module", params=["A", "B"])
def clean(request, world, dataset):
    records = dataset.records[request.param]
    return leak_audit.AuditInput(records, world.items, world.interactions, dataset.training_history)


def found(evidence):
    return {finding.leak: finding for finding in leak_audit.audit(evidence)}


def with_role(evidence, role, records):
    return replace(evidence, records={**evidence.records, role: records})


def test_clean_records_raise_no_alarm(clean):
    assert leak_audit.audit(clean) == []


def test_a_user_in_training_and_test(clean):
    user = clean.records["train"]["user_id"][3]
    test = clean.records["test"].with_columns(
        user_id=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(user)).otherwise("user_id")
    )
    finding = found(with_role(clean, "test", test))["user in training and test"]
    assert finding.rows == 1 and user in finding.example


def test_a_checkpoint_chosen_on_test_users(clean):
    assert "checkpoint chosen on test users" in found(with_role(clean, "development", clean.records["test"]))


def test_a_held_out_pair_among_training_pairs(clean):
    stolen = clean.records["test"].head(3).select("user_id", item_id="gt_item_id")
    finding = found(replace(clean, training_history=pl.concat([clean.training_history, stolen])))[
        "held-out pair in training"
    ]
    assert finding.rows == 3


def test_a_future_item_in_a_history(clean):
    test = clean.records["test"]
    last = clean.interactions.sort("time").group_by("user_id").last().select("user_id", pl.col("item_id").alias("late"))
    later = clean.interactions.join(test.select("user_id", "gt_time"), on="user_id").filter(
        pl.col("time") > pl.col("gt_time")
    )
    victim = later.join(last, on="user_id")["user_id"][0]
    late = later.filter(pl.col("user_id") == victim)["item_id"][0]
    seeded = test.with_columns(
        source_items=pl.when(pl.col("user_id") == victim)
        .then(pl.concat_list("source_items", pl.lit(late)))
        .otherwise("source_items"),
        source_ratings=pl.when(pl.col("user_id") == victim)
        .then(pl.concat_list("source_ratings", pl.lit(5.0)))
        .otherwise("source_ratings"),
    )
    assert late in found(with_role(clean, "test", seeded))["future item in a history"].example


def test_the_truth_always_first(clean):
    first = {
        role: own.with_columns(
            candidate_ids=pl.concat_list("gt_item_id", "candidate_ids").list.unique(maintain_order=True)
        )
        for role, own in clean.records.items()
    }
    assert "truth stands out by place or length" in found(replace(clean, records=first))


def among_strangers(clean):
    """All records with negatives that are nobody's truth, the truth at every place in turn."""
    truths = pl.concat(list(clean.records.values()))["gt_item_id"].unique().implode()
    strangers = [f"STRANGER{k:02d}" for k in range(19)]
    named = clean.items.head(19).with_columns(item_id=pl.Series(strangers), title=pl.lit("A stranger"))
    items = pl.concat([clean.items, named])
    records = {}
    for role, own in clean.records.items():
        lists = [
            [*strangers[: k % 20], truth, *strangers[k % 20 :]] for k, truth in enumerate(own["gt_item_id"].to_list())
        ]
        records[role] = own.with_columns(candidate_ids=pl.Series(lists))
    return replace(clean, items=items, records=records), truths


def test_the_truth_always_longest(clean):
    evidence, truths = among_strangers(clean)
    long = pl.lit("A title that is longer than all others, whatever they say about it or not")
    items = evidence.items.with_columns(title=pl.when(pl.col("item_id").is_in(truths)).then(long).otherwise("title"))
    finding = found(replace(evidence, items=items))["truth stands out by place or length"]
    assert "longest text" in finding.example


def test_a_truth_more_popular_than_all_others(clean):
    evidence, _ = among_strangers(clean)
    truths = pl.concat(list(clean.records.values()))["gt_item_id"].unique()
    fans = pl.DataFrame({"user_id": ["a fan"] * len(truths), "item_id": truths})
    seeded = replace(evidence, training_history=pl.concat([clean.training_history, fans]))
    assert "100% of its negatives" in found(seeded)["truth more popular than its negatives"].example


def test_the_truth_alone_with_metadata(clean):
    record = clean.records["test"].row(0, named=True)
    others = pl.Series([i for i in record["candidate_ids"] if i != record["gt_item_id"]]).implode()
    truth = pl.col("item_id") == record["gt_item_id"]
    items = clean.items.with_columns(has_metadata=(pl.col("has_metadata") | truth) & ~pl.col("item_id").is_in(others))
    finding = found(replace(clean, items=items))["truth alone has metadata"]
    assert finding.rows >= 1


def test_a_negative_that_its_user_liked_later(clean):
    record = clean.records["test"].row(1, named=True)
    negative = next(i for i in record["candidate_ids"] if i != record["gt_item_id"])
    domain = clean.items.filter(pl.col("item_id") == negative)["domain"][0]
    later = [(record["user_id"], domain, negative, 5.0, record["gt_time"] + 1)]
    rows = pl.DataFrame(later, schema=clean.interactions.schema, orient="row")
    finding = found(replace(clean, interactions=pl.concat([clean.interactions, rows])))[
        "negative that the user touched"
    ]
    assert finding.rows == 1 and negative in finding.example


def test_neighbours_mined_outside_training(clean):
    half = clean.training_history.filter(pl.col("user_id").hash(0) % 4 == 0)
    seeded = found(replace(clean, training_history=half))
    mined_here = "neighbour" in clean.records["test"]["candidate_origins"].explode().to_list()
    assert ("hard negatives mined outside training" in seeded) == mined_here


def test_outputs_on_test_records(clean):
    taught = clean.records["test"].with_columns(output=pl.lit("<think>…</think>"))
    assert found(with_role(clean, "test", taught))["teacher's output on test records"].rows == taught.height


def test_a_real_id_in_the_template(clean, monkeypatch):
    real = clean.items["item_id"][0]

    def with_example(record, items, style):
        plain = segments(record, items, style)
        return replace(plain, task=plain.task.replace('"..."', f'"{real}"', 1))

    monkeypatch.setattr(leak_audit, "segments", with_example)
    assert real in found(clean)["real item id in the template"].example


def test_a_template_that_knows_the_truth(clean, monkeypatch):
    def with_hint(record, items, style):
        plain = segments(record, items, style)
        return replace(plain, task=plain.task + ("!" if record["gt_item_id"] == record["candidate_ids"][0] else ""))

    monkeypatch.setattr(leak_audit, "segments", with_hint)
    assert "template depends on the truth" in found(clean)


def test_a_held_out_item_in_its_own_history(clean):
    test = clean.records["test"]
    seeded = test.with_columns(
        target_items=pl.concat_list("target_items", "gt_item_id"),
        target_ratings=pl.concat_list("target_ratings", "gt_rating"),
        gt_time=pl.lit(None, pl.Int64),
    )
    assert found(with_role(clean, "test", seeded))["future item in a history"].rows == test.height


FINDINGS = {
    "A": [leak_audit.Finding("user in training and test", 2, "u1")],
    "B": [leak_audit.Finding("truth alone has metadata", 1, "r")],
}


@pytest.mark.parametrize(
    ("of_data", "of_users", "told"),
    [
        ("stop", "stop", ["user in", "truth alone"]),
        ("report", "stop", ["user in"]),
        ("stop", "report", ["truth alone"]),
    ],
)
def test_what_follows_a_finding_is_a_param(of_data, of_users, told):
    with pytest.raises(InputError) as refused:
        leak_audit.enforce(FINDINGS, of_data, of_users)
    assert [words for words in ("user in", "truth alone") if words in str(refused.value)] == told


def test_reported_findings_are_numbers_for_the_metrics():
    assert leak_audit.enforce(FINDINGS, "report", "report") == {
        "A": {"user in training and test": 2},
        "B": {"truth alone has metadata": 1},
    }
