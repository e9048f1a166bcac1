import dataclasses
import math

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.params import FineTune
from kitrec.llm.preference.dataset import preference_pairs
from kitrec.llm.preference.dpo import train_dpo
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import PreferenceJob
from kitrec.preprocessing.preference_pairs import explained_pair
from kitrec.preprocessing.preference_pairs import preference_pairs as pairs_of_records
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.teacher import TemplateTeacher
from tests.conftest import ROOT

ROOMY = Prompt(max_length=2048, text="rendered", summaries=True, labels=False, answer_begins_with="id")


@pytest.fixture
def made_pairs(world, dataset, items, tokenizer):
    records = dataset.records["A"]["preference"].head(4)
    table = pairs_of_records(7, records, explained_pair(TemplateTeacher(world.themes, world.items).explain))
    return records, table, preference_pairs(records, table, items, Encoder(tokenizer), ROOMY, seed=1)


def test_a_pair_differs_in_what_it_names_and_both_end_their_turn(made_pairs, tokenizer):
    records, table, dataset = made_pairs
    assert len(dataset) == records.height
    for row, pair in zip(table.iter_rows(named=True), dataset, strict=True):
        for name in ("chosen", "rejected"):
            text = tokenizer.decode(pair[f"{name}_ids"])
            assert text == row[f"{name}_output"] + "<|im_end|>" and row[name] in text.rpartition("</think>")[2]
        assert row["chosen"] in tokenizer.decode(pair["prompt_ids"])
        assert row["rejected"] in tokenizer.decode(pair["prompt_ids"])


def test_pairs_whose_candidates_were_cut_are_left_out(made_pairs, items, tokenizer):
    records, table, dataset = made_pairs
    limit = min(len(p["prompt_ids"]) + max(len(p["chosen_ids"]), len(p["rejected_ids"])) for p in dataset)
    encoder = Encoder(tokenizer)
    tight = preference_pairs(
        records,
        table,
        items,
        encoder,
        Prompt(max_length=limit, text="rendered", summaries=True, labels=False, answer_begins_with="id"),
        seed=1,
    )
    assert 1 <= len(tight) < len(dataset)
    with pytest.raises(InputError, match="no preference pair fits whole"):
        preference_pairs(
            records,
            table,
            items,
            encoder,
            Prompt(max_length=limit - 60, text="rendered", summaries=True, labels=False, answer_begins_with="id"),
            seed=1,
        )


def test_without_pairs_dpo_is_refused_with_the_way_out(made_pairs, items, tokenizer):
    records, table, _ = made_pairs
    with pytest.raises(InputError, match=r"none of the 4 preference records has an output of its own.* grpo"):
        preference_pairs(records, table.clear(), items, Encoder(tokenizer), ROOMY, seed=1)


def log_likelihood(model, prompt: list[int], output: list[int]) -> float:
    ids = torch.tensor([prompt + output])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(output)[:, None]).sum().item()


def test_dpo_starts_at_log_2_and_ends_where_the_adapters_likelihoods_say(made_pairs, tiny_base, tmp_path):
    """The margin of eq. 7 from the two adapters' own likelihoods has the sign and the order that TRL logged."""
    start = with_lora(plain(tiny_base), params.load(FineTune, "dualft", ROOT / "params.yaml"))
    start.save_pretrained(tmp_path / "start")
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    p = params.load(Preference, "preference", ROOT / "params.yaml")
    p = dataclasses.replace(p, learning_rate=1e-3, epochs=3, batch_size=4, gradient_accumulation_steps=1)
    job = PreferenceJob(plain(tiny_base), tmp_path / "start", tokenizer, seed=1, work=tmp_path / "work", quiet=True)
    result = train_dpo(job, made_pairs[2], p)
    assert result.log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert result.log[-1]["loss"] < result.log[0]["loss"]
    learned = PeftModel.from_pretrained(plain(tiny_base), str(result.adapter)).eval()
    start.eval()
    margins = []
    for pair in made_pairs[2]:
        gains = [
            log_likelihood(learned, pair["prompt_ids"], pair[name])
            - log_likelihood(start, pair["prompt_ids"], pair[name])
            for name in ("chosen_ids", "rejected_ids")
        ]
        margins.append(p.beta * (gains[0] - gains[1]))
    assert sum(margins) / len(margins) > result.log[-1]["margin"] > 0


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
