import dataclasses

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.core import params
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.params import FineTune
from kitrec.llm.preference import grpo
from kitrec.llm.preference.dataset import reward_prompts
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import PreferenceJob
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from tests.conftest import ROOT

ROOMY = Prompt(max_length=2048, text="rendered", summaries=True, labels=False, answer_begins_with="id")


def preference(**changes) -> Preference:
    return dataclasses.replace(params.load(Preference, "preference", ROOT / "params.yaml"), **changes)


def answer(*ids: str) -> str:
    return "<think>I had BX first.</think>\n[" + ", ".join(f'{{"item_id": "{name}"}}' for name in ids) + "]"


def test_the_reward_is_the_reciprocal_rank_of_the_held_out_item_and_invented_ids_count_as_ranks():
    texts = [answer("A"), answer("B", "A"), answer("invented", "B", "A"), answer("B"), "<think>never closed", ""]
    rewards = grpo.reciprocal_ranks(texts, ["A"] * 6, [["A", "B"]] * 6, other_column=[0] * 6)
    assert rewards == pytest.approx([1, 1 / 2, 1 / 3, 0, 0, 0])


def test_prompts_show_their_records_and_leave_room_for_an_answer(dataset, items, tokenizer):
    records, encoder = dataset.records["A"]["preference"].head(4), Encoder(tokenizer)
    rows = reward_prompts(records, items, encoder, ROOMY, max_new_tokens=128, seed=1)
    for record, row in zip(records.iter_rows(named=True), rows, strict=True):
        text = tokenizer.decode(row["prompt"])
        assert row["ground_truth"] in text and row["ground_truth"] in row["candidates"]
        assert text.endswith("<|im_start|>assistant\n")
        assert record["gt_item_id"] == row["ground_truth"]
    tight = max(len(row["prompt"]) for row in rows)
    cut = reward_prompts(
        records,
        items,
        encoder,
        Prompt(max_length=tight, text="rendered", summaries=True, labels=False, answer_begins_with="id"),
        max_new_tokens=64,
        seed=1,
    )
    assert all(len(row["prompt"]) + 64 <= tight and row["ground_truth"] for row in cut)


def test_rewarded_answers_become_likelier(tiny_base, tokenizer, tmp_path, monkeypatch):
    """Two-armed bandit: answers that begin with every other token are rewarded, so their probability must rise. In
    the first update pi is the reference: no KL."""
    start = with_lora(plain(tiny_base), params.load(FineTune, "dualft", ROOT / "params.yaml"))
    start.save_pretrained(tmp_path / "start")
    prompt = tokenizer("Which one?")["input_ids"]
    before = start.eval()(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1)
    rewarded = set(before.argsort(descending=True)[::2].tolist())  # every other one, so that both arms are written

    def rewards(completion_ids, **_):
        return [float(ids[0] in rewarded) for ids in completion_ids]

    monkeypatch.setattr(grpo, "reciprocal_ranks", rewards)
    prompts = [{"prompt": prompt, "ground_truth": "", "candidates": []}] * 16
    p = preference(learning_rate=5e-3, epochs=1, batch_size=8, gradient_accumulation_steps=1, beta=1e-3)
    p = dataclasses.replace(p, num_generations=8, max_new_tokens=2)
    trained_with = AutoTokenizer.from_pretrained(tiny_base)
    job = PreferenceJob(plain(tiny_base), tmp_path / "start", trained_with, 1, tmp_path, True)
    result = grpo.train_grpo(job, prompts, p)
    assert result.log[0]["kl"] == pytest.approx(0, abs=1e-4)
    learned = PeftModel.from_pretrained(plain(tiny_base), str(result.adapter)).eval()
    after = learned(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1)
    chosen = torch.tensor(sorted(rewarded))
    assert after[chosen].sum() > before[chosen].sum() + 0.05
    assert result.log[-1]["reward"] > result.log[0]["reward"]


def test_groups_that_do_not_fill_an_update_are_refused():
    with pytest.raises(ValueError, match="make one a multiple"):
        preference(method="grpo", batch_size=3, gradient_accumulation_steps=1)


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
