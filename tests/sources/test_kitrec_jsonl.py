"""All variants of KitREC's rows yield the same record; invalid rows are rejected with a reason."""

import json

import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.prompts.template import Style, segments
from kitrec.sources.kitrec_jsonl import load
from kitrec.sources.quarantine import Quarantine

STYLE = Style(thinking=True, answer_items=1, summaries=True)
CANDIDATES = 20


@pytest.fixture(scope="module")
def row(dataset, items):
    """A training row with flat metadata, as the pipeline itself would write it."""
    record = dataset.records["A"]["train"].row(0, named=True)
    return {
        "instruction": segments(record, items, STYLE).text(),
        "input": "",
        "output": "<think>\nwhy\n</think>\n\n```json\n{}\n```",
        "user_id": record["user_id"],
        "user_type": record["user_type"],
        "user_category": record["user_category"],
        "target_domain": record["target"],
        "target_core": record["core"],
        "candidate_set": "A",
        "gt_item_id": record["gt_item_id"],
    }


def read(rows, tmp_path, *, candidate_set="A", require_output=False):
    path = tmp_path / "rows.jsonl"
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    quarantine = Quarantine()
    return load([path], candidate_set, CANDIDATES, quarantine, require_output=require_output, quiet=True), quarantine


def nested(row):
    kept = ("instruction", "input", "output")
    return {**{k: row[k] for k in kept}, "metadata": {k: v for k, v in row.items() if k not in kept}}


def made_test_row(row, truth):
    """A validation or test row: the prompt in `input`, the truth in `ground_truth`."""
    rest = {k: v for k, v in row.items() if k != "gt_item_id"}
    return {
        **rest,
        "instruction": "You are a recommender.",
        "input": row["instruction"],
        "output": "",
        "ground_truth": truth,
    }


def test_all_variants_yield_the_same_record(row, tmp_path):
    truth = {"item_id": row["gt_item_id"], "title": "x", "rating": 4}
    variants = [
        row,
        nested(row),
        {**row, "candidate_set": "setA"},
        {**row, "candidate_set": "Set A", "target_core": str(row["target_core"])},
        made_test_row(row, truth),
        made_test_row(row, json.dumps(truth)),
        made_test_row(row, json.dumps([truth])),
    ]
    first, _ = read(variants[:1], tmp_path)
    for variant in variants:
        loaded, quarantine = read([variant], tmp_path)
        assert quarantine.rejects == []
        apart = {"gt_rating", "output", "published_prompt"}
        kept = [name for name in loaded.records.columns if name not in apart]
        assert loaded.records.select(kept).equals(first.records.select(kept))
        assert loaded.items.equals(first.items)
    assert read([made_test_row(row, truth)], tmp_path)[0].records["gt_rating"].to_list() == [4.0]


def test_a_parsed_row_renders_to_the_same_histories_and_candidates(row, tmp_path):
    loaded, _ = read([row], tmp_path)
    items = {item["item_id"]: item for item in loaded.items.iter_rows(named=True)}
    again = segments(loaded.records.row(0, named=True), items, STYLE)
    assert again.history in row["instruction"] and again.candidates in row["instruction"]


BROKEN = {
    "broken JSON": lambda _: b'{"instruction": "cut of',
    "invalid UTF-8": lambda _: b'{"instruction": "\xff"}',
    "not a JSON object": lambda _: b"[1, 2]",
    "no prompt": lambda row: {**row, "instruction": " "},
    "wrong number of candidates": lambda row: {**row, "instruction": without_a_candidate(row)},
    "a candidate is listed twice": lambda row: {**row, "instruction": with_a_candidate_twice(row)},
    "the held-out item is not among the candidates": lambda row: {**row, "gt_item_id": "ABSENT"},
    "rating outside 1-5": lambda row: made_test_row(row, {"item_id": row["gt_item_id"], "rating": 7}),
    "rating is no number": lambda row: made_test_row(row, {"item_id": row["gt_item_id"], "rating": "good"}),
    "no held-out item": lambda row: {**row, "gt_item_id": None},
    "ground_truth is no JSON": lambda row: made_test_row(row, "{"),
    "ground_truth must hold one item": lambda row: made_test_row(row, "[]"),
    "empty Books history": lambda row: {**row, "instruction": without_books(row)},
    "candidate_set is neither A nor B": lambda row: {**row, "candidate_set": "C"},
    "user_type does not fit the target movies": lambda row: {**row, "user_type": "source_only_music"},
    "no user_id": lambda row: {**row, "user_id": ""},
    "target_core is no count": lambda row: {**row, "target_core": "many"},
}


@pytest.mark.parametrize("reason", BROKEN)
def test_an_invalid_row_is_rejected_with_reason_and_line(row, tmp_path, reason):
    loaded, quarantine = read([row, BROKEN[reason](row)], tmp_path)
    assert loaded.records.height == 1 and quarantine.read == 2
    (reject,) = quarantine.rejects
    assert (reject.reason, reject.line, reject.file) == (reason, 2, str(tmp_path / "rows.jsonl"))


def test_rows_of_another_set_or_without_output_are_rejected(row, tmp_path):
    assert read([row], tmp_path, candidate_set="B")[1].reasons() == {"candidate_set is not its file's": 1}
    assert read([{**row, "output": ""}], tmp_path, require_output=True)[1].reasons() == {"no output to train on": 1}


def test_parquet_rows_are_read(row, tmp_path):
    plain, _ = read([row], tmp_path)
    pl.DataFrame([row, nested(row)], strict=False).write_parquet(tmp_path / "rows.parquet")
    quarantine = Quarantine()
    loaded = load([tmp_path / "rows.parquet"], "A", CANDIDATES, quarantine, require_output=True, quiet=True)
    assert loaded.records.equals(plain.records) and loaded.items.equals(plain.items)


def test_a_second_row_of_the_same_user_and_target_is_rejected(row, tmp_path):
    loaded, quarantine = read([row, row], tmp_path)
    assert loaded.records.height == 1 and quarantine.reasons() == {"the same user and target twice": 1}


def test_too_many_rejects_are_an_error_with_the_most_frequent_reasons(row, tmp_path):
    bad = [{**row, "user_id": ""}] * 3 + [{**row, "candidate_set": "C"}] * 2 + [b"{"] + [b"[]"]
    _, quarantine = read([row, *bad], tmp_path)
    quarantine.write(tmp_path / "rejects.jsonl")
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 7
    with pytest.raises(InputError, match=r"7 of 8 rows.*limit of 1.0%: 3 x no user_id; 2 x candidate_set.*; 1 x"):
        quarantine.check(0.01, tmp_path / "rejects.jsonl")
    quarantine.check(0.9, tmp_path / "rejects.jsonl")


def candidate_lines(row):
    return [line for line in row["instruction"].split("\n") if line.startswith("(ID: ")]


def without_a_candidate(row):
    other = next(line for line in candidate_lines(row) if row["gt_item_id"] not in line)
    return row["instruction"].replace(other + "\n", "")


def with_a_candidate_twice(row):
    one, two = [line for line in candidate_lines(row) if row["gt_item_id"] not in line][:2]
    return row["instruction"].replace(one, two)


def without_books(row):
    before, heading, rest = row["instruction"].partition("### User's Books History (Source Domain):\n")
    return before + heading + rest[rest.index("### User's") :]
