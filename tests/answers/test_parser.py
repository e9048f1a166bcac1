import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitrec.answers.parser import parse

C = [f"ITEM{k:06d}" for k in range(20)]
FENCED = '```json\n{"rank": 1, "item_id": "ITEM000003", "title": "t", "confidence_score": 8, "rationale": "r"}\n```'


def test_kitrecs_own_format():
    said = parse(f"<think>\nsome thought\n</think>\n\n{FENCED}<|im_end|>", C)
    assert (said.item_ids, said.status, said.confidence, said.rationale) == (["ITEM000003"], "ok", 8.0, "r")
    assert said.thinking_characters == len("some thought") and said.invalid_ids == []


def test_an_array_is_sorted_by_rank_where_all_give_one():
    text = json.dumps([{"rank": r, "item_id": C[k]} for r, k in ((3, 1), (1, 2), (2, 0))])
    assert parse(text, C).item_ids == [C[2], C[0], C[1]]
    text = json.dumps([{"item_id": C[1]}, {"rank": 1, "item_id": C[2]}])
    assert parse(text, C).item_ids == [C[1], C[2]]


def test_an_invented_id_keeps_its_place():
    text = json.dumps([{"rank": k + 1, "item_id": f"FAKE{k:06d}"} for k in range(9)] + [{"rank": 10, "item_id": C[4]}])
    said = parse(text, C)
    assert said.item_ids.index(C[4]) == 9 and len(said.invalid_ids) == 9 and said.status == "ok"


def test_a_repeated_id_counts_once_at_its_first_place():
    text = json.dumps([{"item_id": C[1]}, {"item_id": C[1]}, {"item_id": C[0]}])
    assert parse(text, C).item_ids == [C[1], C[0]]


def test_drafts_inside_the_thought_are_ignored_and_the_last_json_counts():
    draft = '{"item_id": "ITEM000009"}'
    assert parse(f"<think>{draft}</think>{draft} no: {FENCED}", C).item_ids == ["ITEM000003"]


def test_ids_in_other_case_and_as_numbers():
    assert parse('{"item_id": " item000007 "}', C).item_ids == ["ITEM000007"]
    assert parse('{"item_id": 12}', ["12", "13"]).item_ids == ["12"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (None, "no_answer"),
        ("", "no_json"),
        ("I would take ITEM000003.", "no_json"),
        (f"<think> {FENCED}", "open_thought"),
        ('{"item_id": "FAKE"}', "no_candidate"),
        ('{"item_id": null}', "no_json"),
        ('["ITEM000003"]', "no_json"),
        ('{"rank": 1, "item_id": "ITEM00', "no_json"),
    ],
)
def test_failures_have_names(text, status):
    assert parse(text, C).status == status


@pytest.mark.parametrize("value", [0, 11, "8", "high", None, True, float("nan")])
def test_a_confidence_outside_the_schema_is_none_never_a_default(value):
    text = json.dumps({"item_id": C[0], "confidence_score": value})
    assert parse(text, C).confidence is None


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet='{}[]",:<>/think json item_id rank ITEM0003 \\n`', max_size=200))
def test_nothing_raises(text):
    said = parse(text, C)
    assert said.status in {"ok", "open_thought", "no_json", "no_candidate"}
    assert (said.status == "ok") == bool(set(said.item_ids) & set(C))
