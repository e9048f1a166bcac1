"""A miniature of the tiny base: the shipped params with smaller worlds, smaller batches and short phases."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from kitrec.core import params
from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.architecture import new_model
from kitrec.tinybase.curriculum import Curriculum
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.tokenizer import train_base_tokenizer

ROOT = Path(__file__).resolve().parents[2]
SEED = 5


@dataclass(frozen=True)
class Miniature:
    p: TinyBase
    tokenizer: PreTrainedTokenizerFast
    curriculum: Curriculum

    def model(self) -> Qwen3ForCausalLM:
        return new_model(self.p, self.tokenizer, SEED).eval()


@pytest.fixture(scope="package")
def shipped() -> TinyBase:
    return params.load(TinyBase, "tiny_base", ROOT / "params.yaml")


@pytest.fixture(scope="package")
def miniature(shipped: TinyBase) -> Miniature:
    phases = [replace(phase, steps=6, candidates=[5]) for phase in shipped.phases]
    world = replace(shipped.world, books=120, movies=120, music=120)
    p = replace(shipped, world=world, users_per_type=16, batch_tokens=500, phases=phases)
    tokenizer = train_base_tokenizer(SEED, p)
    return Miniature(p, tokenizer, Curriculum(SEED, p, Encoder(tokenizer), tokenizer.pad_token_id))
