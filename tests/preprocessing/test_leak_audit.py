"""Each of the fourteen leaks is seeded into clean records and detected; clean records raise no alarm."""

from dataclasses import replace

import polars as pl
import pytest

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.preprocessing import leak_audit, template_leaks
from kitrec.preprocessing.audit_input import AuditInput
from kitrec.prompts.template import segments
from kitrec.schemas.records import RECORDS


@pytest.fixture(scope="module", params=["A", "B"])
def clean(request, world, dataset):
    records = dataset.records[request.param]
    return AuditInput(records, world.items, world.interactions, dataset.training_history, KITREC)


def findings_of(data):
    return {finding.leak: finding for finding in leak_audit.audit(data)}


def with_role(data, role, records):
    return replace(data, records={**data.records, role: records})


def test_clean_records_raise_no_alarm(clean):
    assert leak_audit.audit(clean) == []


def test_a_user_in_training_and_test(clean):
    user = clean.records["train"]["user_id"][3]
    test = clean.records["test"].with_columns(
        user_id=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit(user)).otherwise("user_id")
    )
    finding = findings_of(with_role(clean, "test", test))["user in training and test"]
    assert finding.rows == 1 and user in finding.example


def test_a_checkpoint_chosen_on_test_users(clean):
    assert "checkpoint chosen on test users" in findings_of(with_role(clean, "development", clean.records["test"]))


def test_a_test_user_among_the_preference_users(clean):
    """The published validation users may be test users; the same target twice even shows the test's answer."""
    guest = clean.records["test"].head(2)
    findings = findings_of(with_role(clean, "preference", pl.concat([clean.records["preference"], guest])))
    assert findings["preference user in test"].rows == findings["held-out pair in preference records"].rows == 2
    with pytest.raises(InputError, match="preference user in test"):
        leak_audit.enforce({"A": [findings["preference user in test"]]}, "report", "stop")
    assert leak_audit.enforce({"A": [findings["preference user in test"]]}, "stop", "report")


def test_a_test_answer_in_the_history_of_a_preference_record(clean):
    guest = clean.records["test"].head(1)
    shown = guest.with_columns(
        target_items=pl.concat_list("target_items", "gt_item_id"),
        target_ratings=pl.concat_list("target_ratings", "gt_rating"),
        gt_item_id=guest["candidate_ids"][0].filter(guest["candidate_ids"][0] != guest["gt_item_id"][0]).head(1),
    )
    findings = findings_of(with_role(clean, "preference", pl.concat([clean.records["preference"], shown])))
    assert findings["held-out pair in preference records"].rows == 1


def test_a_held_out_pair_among_training_pairs(clean):
    leaked = clean.records["test"].head(3).select("user_id", item_id="gt_item_id")
    finding = findings_of(replace(clean, training_history=pl.concat([clean.training_history, leaked])))[
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
    assert late in findings_of(with_role(clean, "test", seeded))["future item in a history"].example


def test_a_ground_truth_that_is_always_first(clean):
    first = {
        role: role_records.with_columns(
            candidate_ids=pl.concat_list("gt_item_id", "candidate_ids").list.unique(maintain_order=True)
        )
        for role, role_records in clean.records.items()
    }
    assert "ground truth stands out by position or length" in findings_of(replace(clean, records=first))


def with_distinct_negatives(clean):
    """All records with negatives that are no record's ground truth, the ground truth at every position in turn."""
    ground_truths = pl.concat(list(clean.records.values()))["gt_item_id"].unique().implode()
    negatives = [f"STRANGER{k:02d}" for k in range(19)]
    named = clean.items.head(19).with_columns(item_id=pl.Series(negatives), title=pl.lit("A stranger"))
    items = pl.concat([clean.items, named])
    records = {}
    for role, role_records in clean.records.items():
        lists = [
            [*negatives[: k % 20], item, *negatives[k % 20 :]]
            for k, item in enumerate(role_records["gt_item_id"].to_list())
        ]
        records[role] = role_records.with_columns(candidate_ids=pl.Series(lists))
    return replace(clean, items=items, records=records), ground_truths


def test_a_ground_truth_with_the_longest_text(clean):
    data, ground_truths = with_distinct_negatives(clean)
    long = pl.lit("A title that is longer than all others, whatever they say about it or not")
    items = data.items.with_columns(title=pl.when(pl.col("item_id").is_in(ground_truths)).then(long).otherwise("title"))
    finding = findings_of(replace(data, items=items))["ground truth stands out by position or length"]
    assert "longest text" in finding.example


def test_a_ground_truth_more_popular_than_all_negatives(clean):
    data, _ = with_distinct_negatives(clean)
    ground_truths = pl.concat(list(clean.records.values()))["gt_item_id"].unique()
    extra = pl.DataFrame({"user_id": ["a fan"] * len(ground_truths), "item_id": ground_truths})
    seeded = replace(data, training_history=pl.concat([clean.training_history, extra]))
    assert "100% of its negatives" in findings_of(seeded)["ground truth more popular than its negatives"].example


def test_a_ground_truth_that_alone_has_metadata(clean):
    record = clean.records["test"].row(0, named=True)
    others = pl.Series([i for i in record["candidate_ids"] if i != record["gt_item_id"]]).implode()
    truth = pl.col("item_id") == record["gt_item_id"]
    items = clean.items.with_columns(has_metadata=(pl.col("has_metadata") | truth) & ~pl.col("item_id").is_in(others))
    finding = findings_of(replace(clean, items=items))["only the ground truth has metadata"]
    assert finding.rows >= 1


def test_a_negative_that_its_user_interacted_with_later(clean):
    record = clean.records["test"].row(1, named=True)
    negative = next(i for i in record["candidate_ids"] if i != record["gt_item_id"])
    domain = clean.items.filter(pl.col("item_id") == negative)["domain"][0]
    later = [(record["user_id"], domain, negative, 5.0, record["gt_time"] + 1)]
    rows = pl.DataFrame(later, schema=clean.interactions.schema, orient="row")
    finding = findings_of(replace(clean, interactions=pl.concat([clean.interactions, rows])))[
        "negative that the user interacted with"
    ]
    assert finding.rows == 1 and negative in finding.example


def test_neighbours_mined_outside_training(clean):
    quarter = clean.training_history.filter(pl.col("user_id").hash(0) % 4 == 0)
    seeded = findings_of(replace(clean, training_history=quarter))
    mined_here = "neighbour" in clean.records["test"]["candidate_origins"].explode().to_list()
    assert ("hard negatives mined outside training" in seeded) == mined_here


def test_metadata_and_lengths_are_those_that_the_records_prompt_shows(clean):
    """The catalogue knows titles of all candidates; these prompts show one."""
    test = clean.records["test"]
    blank = {"categories": None, "average_rating": 4.0, "description": None}
    texts = [
        [{"item_id": item, "title": "The only title" if item == held_out else None, **blank} for item in ids]
        for ids, held_out in test.select("candidate_ids", "gt_item_id").iter_rows()
    ]
    shown = test.with_columns(candidate_texts=pl.Series(texts, dtype=RECORDS.columns["candidate_texts"]))
    findings = findings_of(with_role(clean, "test", shown))
    assert findings["only the ground truth has metadata"].rows == test.height
    assert findings["ground truth stands out by position or length"].rows >= test.height


def test_a_published_prompt_that_names_its_held_out_item_outside_the_candidates(clean):
    test = clean.records["test"]
    listed = pl.concat_str(pl.lit("(ID: "), "gt_item_id", pl.lit(") a title"))
    assert "item id in the template" not in findings_of(
        with_role(clean, "test", test.with_columns(published_prompt=listed))
    )
    hinted = test.with_columns(published_prompt=pl.concat_str(listed, pl.lit(" (hint: "), "gt_item_id", pl.lit(")")))
    assert findings_of(with_role(clean, "test", hinted))["item id in the template"].rows == test.height


def test_outputs_of_preference_records_are_no_leak(clean):
    """They are training data, of users that no test record shows."""
    with_outputs = clean.records["preference"].with_columns(output=pl.lit("<think>…</think>"))
    assert leak_audit.audit(with_role(clean, "preference", with_outputs)) == []


def test_outputs_on_test_records(clean):
    with_outputs = clean.records["test"].with_columns(output=pl.lit("<think>…</think>"))
    findings = findings_of(with_role(clean, "test", with_outputs))
    assert findings["teacher's output on test records"].rows == with_outputs.height


def test_an_item_id_in_the_template(clean, monkeypatch):
    real = clean.items["item_id"][0]

    def with_example(record, items, style):
        plain = segments(record, items, style)
        return replace(plain, task=plain.task.replace('"..."', f'"{real}"', 1))

    monkeypatch.setattr(template_leaks, "segments", with_example)
    assert real in findings_of(clean)["item id in the template"].example


def test_a_template_that_depends_on_the_ground_truth(clean, monkeypatch):
    def with_hint(record, items, style):
        plain = segments(record, items, style)
        return replace(plain, task=plain.task + ("!" if record["gt_item_id"] == record["candidate_ids"][0] else ""))

    monkeypatch.setattr(template_leaks, "segments", with_hint)
    assert "template depends on the ground truth" in findings_of(clean)


def test_a_held_out_item_in_its_own_history(clean):
    test = clean.records["test"]
    seeded = test.with_columns(
        target_items=pl.concat_list("target_items", "gt_item_id"),
        target_ratings=pl.concat_list("target_ratings", "gt_rating"),
        gt_time=pl.lit(None, pl.Int64),
    )
    assert findings_of(with_role(clean, "test", seeded))["future item in a history"].rows == test.height


FINDINGS = {
    "A": [leak_audit.Finding("user in training and test", 2, "u1")],
    "B": [leak_audit.Finding("only the ground truth has metadata", 1, "r")],
}


@pytest.mark.parametrize(
    ("of_data", "of_users", "reported"),
    [
        ("stop", "stop", ["user in", "only the"]),
        ("report", "stop", ["user in"]),
        ("stop", "report", ["only the"]),
    ],
)
def test_params_decide_whether_a_finding_is_an_error(of_data, of_users, reported):
    with pytest.raises(InputError) as refused:
        leak_audit.enforce(FINDINGS, of_data, of_users)
    assert [words for words in ("user in", "only the") if words in str(refused.value)] == reported


def test_reported_findings_are_counted_for_the_metrics():
    assert leak_audit.enforce(FINDINGS, "report", "report") == {
        "A": {"user in training and test": 2},
        "B": {"only the ground truth has metadata": 1},
    }
