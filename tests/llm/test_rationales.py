"""Perplexity's numbers against a hand computation on the tiny base."""

import numpy as np
import polars as pl
import torch
from transformers import AutoModelForCausalLM

from kitrec.llm.generation.requests import Request
from kitrec.llm.likelihood.rationales import score_rationales
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.prompts.tokens import Encoder


def test_writer_and_base_are_scored_in_context_and_missing_rationales_stay_null(tiny_base, tokenizer, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    encoder = Encoder(tokenizer)
    texts = ['{"item_id": "A1", "rationale": "It is good."}', None, '{"item_id": "A1"}', "nothing"]
    answers = pl.DataFrame({"method": ["m"] * 4, "record_id": list("abcd"), "text": texts})
    requests = [Request([400 + k, 500], "some-adapter", ("A1",)) for k in range(4)]
    asked = []

    def score(questions):
        asked.append([q.adapter for q in questions])
        return likelihoods(model, questions)

    found = score_rationales(answers, requests, encoder, score, thinking=False, shard=3, work=tmp_path)
    assert found["tokens"].null_count() == found["loglik_writer"].null_count() == 3
    assert asked == [["some-adapter"], [None], [], []]
    ids = requests[0].prompt + encoder.plain(texts[0][: texts[0].rindex('"}') + 1])
    with torch.no_grad():
        logp = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    steps = logp.gather(1, torch.tensor(ids)[1:, None])[:, 0].numpy()
    assert np.isclose(found["loglik_base"][0], steps[-found["tokens"][0] :].sum(), atol=1e-4)
