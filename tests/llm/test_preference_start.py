"""On a quantised base, and from an adapter that has learned something, DPO and GRPO start at that adapter."""

import dataclasses
import math

import pytest
import torch
from transformers import AutoTokenizer

from kitrec.core import params
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.params import FineTune
from kitrec.llm.preference.dpo import train_dpo
from kitrec.llm.preference.grpo import train_grpo
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import PreferenceJob
from tests.conftest import ROOT


@pytest.fixture
def job(tiny_base, tmp_path):
    base = pin(Base(path=str(tiny_base), revision=None))
    torch.manual_seed(1)
    adapter = with_lora(load_quantised(base), params.load(FineTune, "dualft", ROOT / "params.yaml"))
    for name, parameter in adapter.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.02)
    adapter.save_pretrained(tmp_path / "start")
    return PreferenceJob(
        load_quantised(base), tmp_path / "start", AutoTokenizer.from_pretrained(tiny_base), 1, tmp_path, quiet=True
    )


def preference(**changes) -> Preference:
    p = params.load(Preference, "preference", ROOT / "params.yaml")
    return dataclasses.replace(p, learning_rate=5e-6, epochs=1, batch_size=4, gradient_accumulation_steps=1, **changes)


def test_dpo_starts_at_log_2_and_small_steps_are_not_rounded_away(job):
    pairs = [{"prompt_ids": [5, 6, 7], "chosen_ids": [8, 9], "rejected_ids": [10, 11]}] * 32
    result = train_dpo(job, pairs, preference())
    assert result.log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert result.log[-1]["margin"] > 0


def test_grpo_starts_at_zero_kl_to_the_adapter(job):
    prompts = [{"prompt": [5, 6, 7], "ground_truth": "A", "candidates": ["A"]}] * 2
    assert train_grpo(job, prompts, preference(max_new_tokens=3)).log[0]["kl"] == pytest.approx(0, abs=1e-4)
