"""The base and the params that tests of fine-tuning share."""

from dataclasses import replace

import pytest

from kitrec.core import params
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.finetuning.params import FineTune
from tests.conftest import ROOT


@pytest.fixture
def p() -> FineTune:
    tiny = {"batch_size": 2, "gradient_accumulation_steps": 2, "epochs": 2}
    each_step = {"eval_steps": 1, "save_steps": 1, "logging_steps": 1}
    shipped = params.load(FineTune, "dualft", ROOT / "params.yaml")
    return replace(shipped, lora_rank=4, lora_alpha=8, **tiny, **each_step)


@pytest.fixture
def base(tiny_base) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))
