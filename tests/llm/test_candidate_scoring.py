import numpy as np
import polars as pl
import pytest

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.llm.generation.requests import prompt_hash, requests_for
from kitrec.llm.likelihood.candidates import score_candidates
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.likelihoods import LIKELIHOODS
from tests.llm.made_methods import made_method

STYLE = Style(thinking=False, answer_items=1, summaries=True)
PROMPT = Prompt(max_length=1024, text="rendered", summaries=True, labels=False, answer_begins_with="id")
DIRECT = made_method("base", thinking=False)


@pytest.fixture
def scoring_inputs(dataset, items, tokenizer):
    records = dataset.records["A"]["test"].head(10)
    encoder = Encoder(tokenizer)
    requests = requests_for(records, items, encoder, DIRECT, PROMPT)
    rows = [
        {
            "method": "m",
            "record_id": record,
            "notes": [],
            "prompt_hash": prompt_hash(request.prompt),
            "adapter": None,
            "text": None if k == 3 else "anything",
            "prompt_tokens": 1,
            "source_items": 1,
            "target_items": 0,
            "shortened": [],
            "answer_tokens": 1,
            "finish_reason": None,
            "error": "prompt_too_long" if k == 3 else None,
        }
        for k, (record, request) in enumerate(zip(records["record_id"], requests, strict=True))
    ]
    return tables.from_rows(rows, ANSWERS).reverse(), records, requests, AnswerHead(encoder, STYLE)


class Positions:
    """Scores a candidate by its position; counts its calls, and can break off before one."""

    def __init__(self, breaks_before: int | None = None) -> None:
        self.calls, self.breaks_before = [], breaks_before

    def __call__(self, requests):
        if len(self.calls) == self.breaks_before:
            raise KeyboardInterrupt
        self.calls.append(len(requests))
        return [np.arange(len(request.continuations), dtype=float) for request in requests]


def test_rows_are_in_record_order_and_errors_keep_their_reason(scoring_inputs, tmp_path):
    scores = Positions()
    table = score_candidates(*scoring_inputs, scores, shard_size=4, work=tmp_path)
    tables.write(table, tmp_path / "t.parquet", LIKELIHOODS)
    assert table["record_id"].to_list() == scoring_inputs[1]["record_id"].to_list() and scores.calls == [3, 4, 2]
    assert table["loglik"][3] is None and table["error"][3] == "prompt_too_long"
    assert table["loglik"][0].to_list() == list(range(20)) and min(table["tokens"][0]) >= 2


def test_a_killed_run_repeats_one_shard_at_most(scoring_inputs, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        score_candidates(*scoring_inputs, Positions(breaks_before=2), shard_size=4, work=tmp_path)
    resumed = Positions()
    table = score_candidates(*scoring_inputs, resumed, shard_size=4, work=tmp_path)
    whole = score_candidates(*scoring_inputs, Positions(), shard_size=4, work=tmp_path / "whole")
    assert resumed.calls == [2] and table.equals(whole)


def test_answers_to_other_prompts_are_refused(scoring_inputs, tmp_path):
    answers, *others = scoring_inputs
    with pytest.raises(InputError, match="given to other prompts"):
        changed = answers.with_columns(prompt_hash=pl.lit("other"))
        score_candidates(changed, *others, Positions(), shard_size=4, work=tmp_path)
