from pathlib import Path

import pytest

from kitrec import tables
from kitrec.contracts.answers import ANSWERS
from kitrec.domains import USER_TYPES
from kitrec.llm.answering import answer_all
from kitrec.llm.params import Method
from kitrec.llm.requests import Request, requests_for
from kitrec.llm.vllm_engine import Reply
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder

PROMPT = Prompt(max_length=1024, summaries=True)
RECORDS = [f"r{k}" for k in range(10)]
REQUESTS = [Request([k] * (k + 1), "dualft-movies" if k % 2 else None) for k in range(10)]


class Echo:
    """Answers with the prompt's length, counts its calls, and can break off before one."""

    def __init__(self, breaks_before: int | None = None) -> None:
        self.calls: list[int] = []
        self.breaks_before = breaks_before

    def __call__(self, requests: list[Request]) -> list[Reply]:
        if len(self.calls) == self.breaks_before:
            raise KeyboardInterrupt
        self.calls.append(len(requests))
        return [Reply(str(len(r.prompt)), 1, "stop") for r in requests]


def answer(echo: Echo, work: Path, longest: int = 100):
    return answer_all("m", RECORDS, REQUESTS, echo, longest=longest, shard=4, work=work)


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


def test_a_prompt_that_is_too_long_is_a_row_with_its_reason(tmp_path):
    answers = answer(Echo(), tmp_path, longest=8)
    assert answers["error"].to_list() == [None] * 8 + ["prompt_too_long"] * 2
    assert answers["text"].to_list()[8:] == [None, None]


def test_each_user_goes_to_the_adapter_of_its_type(dataset, items, tokenizer):
    records = dataset.records["A"]["test"]
    method = Method(model="full", thinking=True, answer_items=1, max_new_tokens=8, temperature=0.0)
    requests = requests_for(records, items, Encoder(tokenizer), method, PROMPT)
    for record, request in zip(records.iter_rows(named=True), requests, strict=True):
        family = "singleft" if record["core"] == 1 else "dualft"
        assert request.adapter == f"{family}-{record['target']}" == USER_TYPES[record["user_type"]].model
    base = Method(model="base", thinking=False, answer_items=1, max_new_tokens=8, temperature=0.0)
    assert {r.adapter for r in requests_for(records, items, Encoder(tokenizer), base, PROMPT)} == {None}


def test_a_test_prompt_over_the_limit_loses_history_not_candidates_and_says_so(dataset, items, tokenizer):
    records = dataset.records["A"]["test"]
    method = Method(model="base", thinking=False, answer_items=1, max_new_tokens=8, temperature=0.0)
    whole = requests_for(records, items, Encoder(tokenizer), method, PROMPT)
    longest = max(len(r.prompt) for r in whole)
    short = requests_for(records, items, Encoder(tokenizer), method, Prompt(max_length=longest - 60, summaries=True))
    assert any(r.cuts for r in short) and not any(r.cuts for r in whole)
    for record, request, full in zip(records.iter_rows(named=True), short, whole, strict=True):
        text = tokenizer.decode(request.prompt)
        assert all(f"(ID: {candidate})" in text for candidate in record["candidate_ids"])
        assert (request.cuts == ()) == (request.prompt == full.prompt)
