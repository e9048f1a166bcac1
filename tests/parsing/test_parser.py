import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitrec.parsing.parser import parse

C = [f"ITEM{k:06d}" for k in range(20)]
FENCED = '```json\n{"rank": 1, "item_id": "ITEM000003", "title": "t", "confidence_score": 8, "rationale": "r"}\n```'


def test_kitrecs_answer_format_is_parsed():
    parsed = parse(f"<think>\nsome thought\n</think>\n\n{FENCED}<|im_end|>", C)
    assert (parsed.item_ids, parsed.status, parsed.confidence, parsed.rationale) == (["ITEM000003"], "ok", 8.0, "r")
    assert parsed.thinking_characters == len("some thought") and parsed.invalid_ids == []


def test_fields_may_stand_in_any_order_and_the_id_counts_where_the_title_is_anothers():
    titled = {"rank": 1, "title": f"the title of {C[5]}", "item_id": C[3], "confidence_score": 8, "rationale": "r"}
    assert parse(json.dumps(titled), C) == parse(FENCED, C)
    only_title = parse(json.dumps({"rank": 1, "title": "t"}), C)
    assert (only_title.item_ids, only_title.status) == ([], "no_json")


def test_an_array_is_sorted_by_rank_where_all_give_one():
    text = json.dumps([{"rank": r, "item_id": C[k]} for r, k in ((3, 1), (1, 2), (2, 0))])
    assert parse(text, C).item_ids == [C[2], C[0], C[1]]
    text = json.dumps([{"item_id": C[1]}, {"rank": 1, "item_id": C[2]}])
    assert parse(text, C).item_ids == [C[1], C[2]]


def test_an_invented_id_keeps_its_rank():
    text = json.dumps([{"rank": k + 1, "item_id": f"FAKE{k:06d}"} for k in range(9)] + [{"rank": 10, "item_id": C[4]}])
    parsed = parse(text, C)
    assert parsed.item_ids.index(C[4]) == 9 and len(parsed.invalid_ids) == 9 and parsed.status == "ok"


def test_a_repeated_id_counts_once_at_its_first_rank():
    text = json.dumps([{"item_id": C[1]}, {"item_id": C[1]}, {"item_id": C[0]}])
    assert parse(text, C).item_ids == [C[1], C[0]]


def test_drafts_inside_the_thought_are_ignored_and_the_last_json_counts():
    draft = '{"item_id": "ITEM000009"}'
    assert parse(f"<think>{draft}</think>{draft} no: {FENCED}", C).item_ids == ["ITEM000003"]


def test_ids_match_in_other_case_and_as_numbers():
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


@pytest.mark.parametrize("value", [-0.5, 11, "8", "high", None, True, float("nan")])
def test_a_confidence_outside_the_schema_is_none(value):
    text = json.dumps({"item_id": C[0], "confidence_score": value})
    assert parse(text, C).confidence is None


def test_a_truncated_array_keeps_its_complete_elements():
    whole = json.dumps([{"rank": k + 1, "item_id": C[k], "title": "a, ]"} for k in range(10)])
    for end in range(len(whole) - 1):
        parsed = parse(whole[:end], C)
        assert parsed.item_ids == C[: whole[:end].count("}")], whole[:end]
    assert parse(whole, C).item_ids == C[:10]


def test_trailing_commas_are_accepted_and_strings_are_left_alone():
    entry = '{"item_id": "ITEM000001", "rationale": "so, ] and, }",}'
    for text in (entry, f"[{entry},]", f"[{entry}, {entry[:-1].replace('1', '2', 1)}}},\n]"):
        parsed = parse(text, C)
        assert parsed.item_ids[0] == C[1] and parsed.rationale == "so, ] and, }", text
    assert parse(f"[{entry},] then {FENCED}", C).item_ids == ["ITEM000003"]


def test_an_id_with_leading_zeros_matches_the_number():
    assert parse('{"item_id": 7}', ["0000000007", "0000000070"]).item_ids == ["0000000007"]
    assert parse('{"item_id": true}', C).status == "no_json"


def test_prose_with_brackets_and_quotes_around_the_answer_is_skipped():
    text = f'He said "[maybe {{1}}" and I [think] {{so}}: {FENCED} "[{{'
    assert parse(text, C).item_ids == ["ITEM000003"]


MARKS = ["{", "}", "[", "]", ",", ":", '"', "\\", "\n", " ", "```json", "<think>", "</think>", "<|im_end|>"]
WORDS = ['"item_id"', '"rank"', '"confidence_score"', '"rationale"', '"ITEM000003"', '"FAKE"', "null", "-1", "1e9", "é"]
VALUES = ['{"item_id": "ITEM000004"}', '{"rank": 2, "item_id": "ITEM000005"},', FENCED]
PIECES = st.sampled_from([*MARKS, *WORDS, *VALUES])
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def assert_invariants(text: str) -> None:
    parsed = parse(text, C)
    assert parsed.status in {"ok", "open_thought", "no_json", "no_candidate"}
    assert (parsed.status == "ok") == bool(set(parsed.item_ids) & set(C))
    assert len(set(parsed.item_ids)) == len(parsed.item_ids) and set(parsed.invalid_ids) == set(parsed.item_ids) - set(
        C
    )
    assert parsed.confidence is None or 0 <= parsed.confidence <= 10


@settings(max_examples=2000, deadline=None)
@given(TEXTS)
def test_no_text_raises(text):
    assert_invariants(text)


@pytest.mark.slow
@settings(max_examples=100_000, deadline=None)
@given(TEXTS | st.text(max_size=300))
def test_no_text_of_a_hundred_thousand_raises(text):
    assert_invariants(text)


def test_a_long_text_of_brackets_is_parsed_quickly():
    start = time.process_time()
    parse("[{" * 20_000, C)
    parse('{"a":' * 20_000, C)
    assert time.process_time() - start < 10
