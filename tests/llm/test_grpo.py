import dataclasses

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.core import params
from kitrec.llm.finetuning.arguments import lora
from kitrec.llm.finetuning.params import FineTune
from kitrec.llm.preference import grpo
from kitrec.llm.preference.dataset import asked_prompts
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import Start
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from tests.conftest import ROOT

ROOMY = Prompt(max_length=2048, summaries=True, labels=False)


def preference(**changes) -> Preference:
    return dataclasses.replace(params.load(Preference, "preference", ROOT / "params.yaml"), **changes)


def answer(*ids: str) -> str:
    return "<think>I had BX first.</think>\n[" + ", ".join(f'{{"item_id": "{name}"}}' for name in ids) + "]"


def test_the_reward_is_the_reciprocal_rank_of_the_truth_and_inventions_hold_their_place():
    texts = [answer("A"), answer("B", "A"), answer("invented", "B", "A"), answer("B"), "<think>never closed", ""]
    found = grpo.reciprocal_ranks(texts, ["A"] * 6, [["A", "B"]] * 6, other_column=[0] * 6)
    assert found == pytest.approx([1, 1 / 2, 1 / 3, 0, 0, 0])


def test_prompts_are_the_rows_of_the_records_and_leave_room_for_an_answer(dataset, items, tokenizer):
    records, encoder = dataset.records["A"]["preference"].head(4), Encoder(tokenizer)
    found = asked_prompts(records, items, encoder, ROOMY, answer=128, seed=1)
    for record, asked in zip(records.iter_rows(named=True), found, strict=True):
        text = tokenizer.decode(asked["prompt"])
        assert asked["truth"] in text and asked["truth"] in asked["candidates"]
        assert text.endswith("<|im_start|>assistant\n")
        assert record["gt_item_id"] == asked["truth"]
    tight = max(len(asked["prompt"]) for asked in found)
    cut = asked_prompts(
        records, items, encoder, Prompt(max_length=tight, summaries=True, labels=False), answer=64, seed=1
    )
    assert all(len(asked["prompt"]) + 64 <= tight and asked["truth"] for asked in cut)


def test_what_is_rewarded_becomes_likelier(tiny_base, tokenizer, tmp_path, monkeypatch):
    """Two-armed bandit: answers that begin with one half of the tokens are paid, so their probability must rise. In the
    first update pi is the reference: no KL."""
    start = get_peft_model(plain(tiny_base), lora(params.load(FineTune, "dualft", ROOT / "params.yaml")))
    start.save_pretrained(tmp_path / "start")
    prompt = tokenizer("Which one?")["input_ids"]
    before = start.eval()(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1)
    paid = set(before.argsort(descending=True)[::2].tolist())  # every other one, so that both arms are written

    def rewards(completion_ids, **_):
        return [float(ids[0] in paid) for ids in completion_ids]

    monkeypatch.setattr(grpo, "reciprocal_ranks", rewards)
    asked = [{"prompt": prompt, "truth": "", "candidates": []}] * 16
    p = preference(learning_rate=5e-3, epochs=1, batch=8, accumulation=1, generations=8, max_new_tokens=2, beta=1e-3)
    begin = Start(plain(tiny_base), tmp_path / "start", AutoTokenizer.from_pretrained(tiny_base), 1, tmp_path, True)
    done = grpo.by_rewards(begin, asked, p)
    assert done.log[0]["kl"] == pytest.approx(0, abs=1e-4)
    learned = PeftModel.from_pretrained(plain(tiny_base), str(done.adapter)).eval()
    after = learned(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1)
    chosen = torch.tensor(sorted(paid))
    assert after[chosen].sum() > before[chosen].sum() + 0.05
    assert done.log[-1]["reward"] > done.log[0]["reward"]


def test_groups_that_do_not_fill_an_update_are_refused():
    with pytest.raises(ValueError, match="make one a multiple"):
        preference(method="grpo", batch=3, accumulation=1)


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
