"""On a quantised base, and from an adapter that has learned something, both ways start where the adapter stands."""

import dataclasses
import math

import pytest
import torch
from peft import get_peft_model
from transformers import AutoTokenizer

from kitrec.core import params
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.arguments import lora
from kitrec.llm.finetuning.params import FineTune
from kitrec.llm.preference.dpo import by_pairs
from kitrec.llm.preference.grpo import by_rewards
from kitrec.llm.preference.params import Preference
from kitrec.llm.preference.trl_run import Start
from tests.conftest import ROOT


@pytest.fixture
def start(tiny_base, tmp_path):
    base = pin(Base(path=str(tiny_base), revision=None))
    torch.manual_seed(1)
    adapter = get_peft_model(load_quantised(base), lora(params.load(FineTune, "dualft", ROOT / "params.yaml")))
    for name, parameter in adapter.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.02)
    adapter.save_pretrained(tmp_path / "start")
    return Start(
        load_quantised(base), tmp_path / "start", AutoTokenizer.from_pretrained(tiny_base), 1, tmp_path, quiet=True
    )


def preference(**changes) -> Preference:
    p = params.load(Preference, "preference", ROOT / "params.yaml")
    return dataclasses.replace(p, learning_rate=5e-6, epochs=1, batch=4, accumulation=1, **changes)


def test_dpo_starts_at_log_2_and_small_steps_are_not_rounded_away(start):
    pairs = [{"prompt_ids": [5, 6, 7], "chosen_ids": [8, 9], "rejected_ids": [10, 11]}] * 32
    done = by_pairs(start, pairs, preference())
    assert done.log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert done.log[-1]["margin"] > 0


def test_grpo_starts_without_any_distance_from_the_adapter(start):
    asked = [{"prompt": [5, 6, 7], "truth": "A", "candidates": ["A"]}] * 2
    assert by_rewards(start, asked, preference(max_new_tokens=3)).log[0]["kl"] == pytest.approx(0, abs=1e-4)
