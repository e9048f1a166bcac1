"""Hours from the plan, against the published run's forty."""

import shutil

import pytest

from kitrec.cli.hours_plan import hours_plan
from kitrec.config import profiles
from kitrec.config.sections import validate_params
from tests.conftest import ROOT


@pytest.fixture
def hours(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    profiles.use(tmp_path / "params.yaml", ["dataset=kitrec_hub", "llm=qwen3_14b"])
    return hours_plan(validate_params(tmp_path / "params.yaml"))


def test_a_dualft_adapter_costs_the_published_forty_hours(hours):
    """Two adapters of 162 million tokens each, 1,125 tokens per second."""
    assert hours["train_dualft, 2 adapters"] == pytest.approx(80, rel=0.02)


def test_a_second_set_asks_the_base_nothing_again(hours):
    base = hours["infer_vllm base_direct"] + hours["score_candidates base_direct"]
    assert hours["both candidate sets"] == pytest.approx(2 * hours["one candidate set"] - base)
    assert hours["one candidate set"] == pytest.approx(sum(list(hours.values())[:-2]))


@pytest.mark.parametrize("profile", [[], ["variants=all_methods"]])
def test_the_guide_says_what_the_plan_says(tmp_path, profile):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    profiles.use(tmp_path / "params.yaml", ["dataset=kitrec_hub", "llm=qwen3_14b", *profile])
    plan = hours_plan(validate_params(tmp_path / "params.yaml"))
    guide = (ROOT / "docs/guides/rented_gpu.md").read_text()
    for row in ("one candidate set", "both candidate sets"):
        assert f"**{plan[row]:.0f}**" in guide, plan
