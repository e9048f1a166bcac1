import numpy as np
import polars as pl
import pytest

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.llm.generation.requests import prompt_hash, requests_for
from kitrec.llm.likelihood.candidates import score_all
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.likelihoods import LIKELIHOODS
from tests.llm.methods import a_method

STYLE = Style(thinking=False, answer_items=1, summaries=True)
PROMPT = Prompt(max_length=1024, summaries=True, labels=False)
DIRECT = a_method("base", thinking=False)


@pytest.fixture
def asked(dataset, items, tokenizer):
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


class Lengths:
    """Scores a candidate by its place; counts its calls, and can break off before one."""

    def __init__(self, breaks_before: int | None = None) -> None:
        self.calls, self.breaks_before = [], breaks_before

    def __call__(self, questions):
        if len(self.calls) == self.breaks_before:
            raise KeyboardInterrupt
        self.calls.append(len(questions))
        return [np.arange(len(q.continuations), dtype=float) for q in questions]


def test_rows_stand_in_record_order_and_errors_keep_their_reason(asked, tmp_path):
    scores = Lengths()
    found = score_all(*asked, scores, shard=4, work=tmp_path)
    tables.write(found, tmp_path / "t.parquet", LIKELIHOODS)
    assert found["record_id"].to_list() == asked[1]["record_id"].to_list() and scores.calls == [3, 4, 2]
    assert found["loglik"][3] is None and found["error"][3] == "prompt_too_long"
    assert found["loglik"][0].to_list() == list(range(20)) and min(found["tokens"][0]) >= 2


def test_a_killed_run_repeats_one_shard_at_most(asked, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        score_all(*asked, Lengths(breaks_before=2), shard=4, work=tmp_path)
    resumed = Lengths()
    found = score_all(*asked, resumed, shard=4, work=tmp_path)
    assert resumed.calls == [2] and found.equals(score_all(*asked, Lengths(), shard=4, work=tmp_path / "whole"))


def test_answers_to_other_prompts_are_refused(asked, tmp_path):
    answers, *rest = asked
    with pytest.raises(InputError, match="given to other prompts"):
        score_all(answers.with_columns(prompt_hash=pl.lit("other")), *rest, Lengths(), shard=4, work=tmp_path)
