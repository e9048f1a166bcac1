from pathlib import Path

import pytest

from kitrec.core import tables
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.llm.generation.llm4cdr import with_notes
from kitrec.llm.generation.requests import Request, requests_for
from kitrec.llm.generation.resumable import generate_answers
from kitrec.llm.generation.vllm_engine import Reply
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.answers import ANSWERS
from tests.llm.made_methods import made_method

PROMPT = Prompt(max_length=1024, text="rendered", summaries=True, labels=False, answer_begins_with="id")
RECORDS = [f"r{k}" for k in range(10)]
REQUESTS = [Request([k] * (k + 1), "dualft-movies" if k % 2 else None) for k in range(10)]


class Echo:
    """Answers with the prompt's length, counts its calls, and can be interrupted before one."""

    def __init__(self, breaks_before: int | None = None) -> None:
        self.calls: list[int] = []
        self.breaks_before = breaks_before

    def __call__(self, requests: list[Request]) -> list[Reply]:
        if len(self.calls) == self.breaks_before:
            raise KeyboardInterrupt
        self.calls.append(len(requests))
        return [Reply(str(len(r.prompt)), [7], "stop") for r in requests]


def answer(echo: Echo, work: Path, max_length: int = 100):
    return generate_answers("m", RECORDS, REQUESTS, echo, max_length=max_length, shard_size=4, work=work)


def test_one_engine_call_per_shard_and_answers_in_record_order(tmp_path):
    echo = Echo()
    answers = answer(echo, tmp_path)
    assert echo.calls == [4, 4, 2]
    assert answers["record_id"].to_list() == RECORDS
    assert answers["text"].to_list() == [str(k + 1) for k in range(10)]
    assert answers["adapter"].to_list() == [r.adapter for r in REQUESTS]


def test_a_killed_run_repeats_one_call_at_most_and_ends_with_the_same_bytes(tmp_path):
    tables.write(answer(Echo(), tmp_path / "whole"), tmp_path / "whole.parquet", ANSWERS)
    with pytest.raises(KeyboardInterrupt):
        answer(Echo(breaks_before=2), tmp_path / "killed")
    resumed = Echo()
    tables.write(answer(resumed, tmp_path / "killed"), tmp_path / "killed.parquet", ANSWERS)
    assert resumed.calls == [2]
    assert (tmp_path / "killed.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_prompt_that_is_too_long_becomes_a_row_with_an_error(tmp_path):
    answers = answer(Echo(), tmp_path, max_length=8)
    assert answers["error"].to_list() == [None] * 8 + ["prompt_too_long"] * 2
    assert answers["text"].to_list()[8:] == [None, None]


def test_each_user_goes_to_the_adapter_of_its_type(dataset, items, tokenizer):
    records = dataset.records["A"]["test"]
    method = made_method("full", thinking=True)
    requests = requests_for(records, items, Encoder(tokenizer), method, PROMPT)
    for record, request in zip(records.iter_rows(named=True), requests, strict=True):
        family = "singleft" if record["core"] == 1 else "dualft"
        assert request.adapter == f"{family}-{record['target']}" == KITREC.user_types[record["user_type"]].model
    base = made_method("base", thinking=False)
    assert {r.adapter for r in requests_for(records, items, Encoder(tokenizer), base, PROMPT)} == {None}


def test_a_test_prompt_over_the_limit_loses_history_not_candidates_and_names_its_cuts(dataset, items, tokenizer):
    records = dataset.records["A"]["test"]
    method = made_method("base", thinking=False)
    whole = requests_for(records, items, Encoder(tokenizer), method, PROMPT)
    longest = max(len(r.prompt) for r in whole)
    short = requests_for(
        records,
        items,
        Encoder(tokenizer),
        method,
        Prompt(max_length=longest - 60, text="rendered", summaries=True, labels=False, answer_begins_with="id"),
    )
    assert any(r.cuts for r in short) and not any(r.cuts for r in whole)
    for record, request, full in zip(records.iter_rows(named=True), short, whole, strict=True):
        text = tokenizer.decode(request.prompt)
        assert all(f"(ID: {candidate})" in text for candidate in record["candidate_ids"])
        assert (request.cuts == ()) == (request.prompt == full.prompt)
        history = text.partition("## User Interaction History")[2].partition("## List of Available")[0]
        assert history.count("\n- ") == request.source_items + request.target_items


class FailsOn(Echo):
    """An engine that fails on some prompts."""

    def __init__(self, bad: set[int]) -> None:
        super().__init__()
        self.bad = bad

    def __call__(self, requests: list[Request]) -> list[Reply]:
        if any(len(r.prompt) in self.bad for r in requests):
            raise RuntimeError("assert in a kernel")
        return super().__call__(requests)


def test_a_prompt_that_breaks_the_engine_is_the_only_one_without_an_answer(tmp_path):
    answers = answer(FailsOn({2, 7}), tmp_path)
    assert answers["error"].to_list() == [None, "engine_error", *[None] * 4, "engine_error", *[None] * 3]
    assert answers["text"].to_list()[2:6] == ["3", "4", "5", "6"]


def test_an_engine_that_fails_on_all_prompts_of_a_shard_stops_the_stage(tmp_path):
    with pytest.raises(InputError, match="failed on all 4 prompts of a shard: RuntimeError: assert in a kernel"):
        answer(FailsOn(set(range(20))), tmp_path)


def test_an_empty_prompt_becomes_a_row_with_an_error(tmp_path):
    requests = [Request([], None), Request([1], None)]
    answers = generate_answers("m", ["a", "b"], requests, Echo(), max_length=9, shard_size=4, work=tmp_path)
    assert answers["error"].to_list() == ["empty_prompt", None]


def test_the_steps_of_llm4cdr_show_the_history_and_analyse_each_target_once(dataset, items, tokenizer, tmp_path):
    records = dataset.records["A"]["test"].head(6)
    encoder = Encoder(tokenizer)
    method = made_method("base", thinking=False, steps="llm4cdr")
    prompts: list[str] = []

    def generate(requests: list[Request]) -> list[Reply]:
        prompts.extend(tokenizer.decode(r.prompt) for r in requests)
        return [Reply(f"Note of {len(prompts)} <|im_end|>", [1], "stop") for _ in requests]

    annotated = with_notes(records, items, encoder, method, PROMPT, generate, shard_size=4, work=tmp_path)
    targets = sorted(set(records["target"]))
    assert len(prompts) == len(targets) + 6
    first = requests_for(annotated, items, encoder, method, PROMPT)[0]
    plain = requests_for(records, items, encoder, method, PROMPT)[0]
    text, without = tokenizer.decode(first.prompt), tokenizer.decode(plain.prompt)
    assert first.notes == tuple(annotated["notes"][0]) and "## Note 1\nNote of" in text and "## Note 2\nNote of" in text
    assert first.prompt.count(encoder.end_of_turn) == plain.prompt.count(encoder.end_of_turn)
    history = without.partition("## User Interaction History")[2].partition("## List of")[0]
    assert history in text and history in prompts[len(targets)]
    for item in records["candidate_ids"][0]:
        assert item in text and item not in prompts[len(targets)]
    again = with_notes(records, items, encoder, method, PROMPT, generate, shard_size=4, work=tmp_path)
    assert len(prompts) == len(targets) + 6 and again.equals(annotated)
