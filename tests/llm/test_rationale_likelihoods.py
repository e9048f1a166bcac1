"""Rationales are found and scored in context; likelihoods against a separate computation on the tiny base."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from kitrec.llm.generation.requests import Request
from kitrec.llm.likelihood.rationales import rationale_in_context, score_rationales
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.prompts.tokens import Encoder


def test_writer_and_base_are_scored_in_context_and_missing_rationales_are_null(tiny_base, tokenizer, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    encoder = Encoder(tokenizer)
    texts = ['{"item_id": "A1", "rationale": "It is good."}', None, '{"item_id": "A1"}', "nothing"]
    answers = pl.DataFrame({"method": ["m"] * 4, "record_id": list("abcd"), "text": texts})
    requests = [Request([400 + k, 500], "some-adapter", ("A1",)) for k in range(4)]
    adapters = []

    def score(requests):
        adapters.append([request.adapter for request in requests])
        return likelihoods(model, requests)

    scores = score_rationales(answers, requests, encoder, score, thinking=False, shard_size=3, work=tmp_path)
    assert scores["tokens"].null_count() == scores["loglik_writer"].null_count() == 3
    assert adapters == [["some-adapter"], [None], [], []]
    ids = requests[0].prompt + encoder.plain(texts[0][: texts[0].rindex('"}') + 1])
    with torch.no_grad():
        logp = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    steps = logp.gather(1, torch.tensor(ids)[1:, None])[:, 0].numpy()
    assert np.isclose(scores["loglik_base"][0], steps[-scores["tokens"][0] :].sum(), atol=1e-4)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("rationale", ["Plain words.", 'With "quotes", a \\ and\na line', "Größe — 品"])
def test_context_and_rationale_are_the_reply_up_to_the_closing_quote(tokenizer, thinking, rationale):
    encoder = Encoder(tokenizer)
    answer = "```json\n" + json.dumps({"item_id": "A", "rationale": rationale}) + "\n```<|im_end|>"
    text = f"<think>\nwhy\n</think>\n\n{answer}" if thinking else answer
    context, spelled = rationale_in_context(encoder, [5, 6], text, rationale, thinking=thinking)
    assert context[:2] == [5, 6]
    assert tokenizer.decode(context[2:] + spelled) == text[: text.rindex('"}') + 1]
    assert json.dumps(rationale)[1:-1] in tokenizer.decode(spelled)
    learned = encoder.answer(text.replace("<|im_end|>", ""), thinking=thinking)
    whole = context[2:] + spelled
    assert (
        learned[: len(whole) - 1] == whole[:-1]
    )  # the last id closes the quote; in the learned text it may close more


def test_a_reply_that_does_not_spell_its_rationale_out_has_none(tokenizer):
    assert rationale_in_context(Encoder(tokenizer), [1], '{"rationale": "cut he', "cut he", thinking=False) is None
