"""Training, requests and the chat template give the same token ids."""

import polars as pl
import pytest

from kitrec.core.domains import KITREC
from kitrec.llm.finetuning.dataset import tokenize_records
from kitrec.llm.generation.requests import requests_for
from kitrec.preprocessing.dataset import build_dataset
from kitrec.preprocessing.params import Users
from kitrec.preprocessing.users import classify, sample_roles
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.build import build_world
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs
from tests.conftest import CANDIDATES, WORLD
from tests.llm.made_methods import made_method

ROOMY = Prompt(max_length=4096, text="rendered", summaries=True, labels=False, answer_begins_with="id")
ROLES = ("train", "development", "preference", "test")


def compare(built, records, tokenizer) -> int:
    """Compare both variants of all records, and return the number of rows compared."""
    items = {row["item_id"]: row for row in built.items.iter_rows(named=True)}
    with_output = with_outputs(records, TemplateTeacher(built.themes, built.items))
    encoder = Encoder(tokenizer)
    rows = 0
    for thinking, model in ((True, "full"), (False, "direct")):
        method = made_method(model, thinking=thinking)
        dataset = tokenize_records(with_output, items, encoder, ROOMY, thinking=thinking, seed=1)
        requests = requests_for(records, items, encoder, method, ROOMY)
        style = Style(thinking=thinking, answer_items=1, summaries=True)
        texts = [segments(record, items, style).text() for record in records.iter_rows(named=True)]
        turns = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": text}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=thinking,
            )
            for text in texts
        ]
        rendered = tokenizer(turns, add_special_tokens=False)["input_ids"]
        for sample, request, ids in zip(dataset.samples, requests, rendered, strict=True):
            trained = sample.ids[: sample.prompt_length].tolist()
            assert trained == request.prompt == ids
            rows += 1
    return rows


def test_the_shared_worlds_records(world, dataset, tokenizer):
    records = pl.concat([dataset.records[which][role] for which in "AB" for role in ROLES])
    assert compare(world, records, tokenizer) == 800


@pytest.mark.slow
def test_ten_thousand_rows(tokenizer):
    users = Users(train=240, preference=5, test=5, development_share=0.1, min_source_items=5, cut=False)
    built = build_world(11, WORLD, users.per_type)
    roles = sample_roles(11, classify(built.interactions, KITREC, 5), users)
    dataset = build_dataset(11, KITREC, roles, 0.1, CANDIDATES, built.items, built.interactions, ("A", "B"))
    records = pl.concat([dataset.records[which][role] for which in "AB" for role in ROLES])
    assert compare(built, records, tokenizer) >= 10_000
