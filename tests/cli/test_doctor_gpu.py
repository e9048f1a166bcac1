import shutil

import pytest
import torch
from transformers import Qwen3Config

from kitrec.cli import doctor_gpu
from kitrec.cli.memory_plans import stage_plans
from kitrec.config import profiles
from kitrec.config.sections import validate_params
from kitrec.core import files
from kitrec.llm.base.memory_plan import GIB, TrainingLoad, model_size, training_plan
from kitrec.llm.base.pinning import PinnedBase
from tests.conftest import ROOT


def test_a_missing_gpu_is_reported_with_the_way_out():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (check,) = doctor_gpu.run_gpu_checks(ROOT / "params.yaml")
    assert not check.ok and check.result.startswith("none") and "rent one" in check.way_out


def test_the_nf4_layer_is_compared_with_its_dequantised_weights(monkeypatch):
    assert doctor_gpu.nf4(torch.device("cpu")).ok
    monkeypatch.setattr(doctor_gpu, "dequantize_4bit", lambda *_: torch.zeros(512, 512))
    assert not doctor_gpu.nf4(torch.device("cpu")).ok


def test_the_memory_plan_of_the_shipped_params_fits_here_and_of_an_unpinned_base_says_why(tmp_path):
    plans = doctor_gpu.memory_plan(ROOT / "params.yaml")
    assert all(check.ok for check in plans), plans
    stages = ("train_dualft", "train_singleft", "infer_vllm", "score_candidates")
    assert [check.name for check in plans] == [f"memory of {stage}" for stage in stages]
    text = (ROOT / "params.yaml").read_text().replace("base/tiny-qwen3", "Qwen/Qwen3-14B")
    (tmp_path / "params.yaml").write_text(text)
    (check,) = doctor_gpu.memory_plan(tmp_path / "params.yaml")
    assert not check.ok and "revision" in check.way_out


def qwen3_14b(folder, **quantised):
    """The configuration of Qwen3-14B as published, without weights."""
    sizes = {"hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 40, "head_dim": 128}
    heads = {"num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 151936, "tie_word_embeddings": False}
    config = Qwen3Config(**sizes, **heads, architectures=["Qwen3ForCausalLM"])
    config.save_pretrained(folder)
    if quantised:
        stored = files.read_json(folder / "config.json") | {"quantization_config": quantised}
        files.write_json(stored, folder / "config.json")
    return PinnedBase(str(folder), None, "x")


def sections_of(tmp_path, *choices):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    profiles.use(tmp_path / "params.yaml", [*choices])
    return validate_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("profile", "quantised", "card", "too_large"),
    [
        (["llm=qwen3_14b"], {}, 80e9, set()),
        (["llm=qwen3_14b"], {}, 32e9, {"infer_vllm", "score_candidates", "train_dualft"}),
        (["llm=qwen3_14b_32gb"], {}, 32e9, {"train_dualft"}),
        (["llm=qwen3_14b"], {"quant_method": "awq", "bits": 4, "group_size": 128}, 32e9, {"train_dualft"}),
        (["llm=qwen3_14b"], {"quant_method": "awq", "bits": 4, "group_size": 128}, 24e9, {"train_dualft"}),
    ],
)
def test_the_plan_names_every_stage_that_does_not_fit(tmp_path, profile, quantised, card, too_large):
    """Scoring is planned as well: 28 GB of bf16 weights fit no 32 GB card, whatever serves the answers."""
    sections = sections_of(tmp_path, *profile)
    base = qwen3_14b(tmp_path / "base", **quantised)
    plans = stage_plans(sections, base, model_size(base), card / GIB)
    assert {stage for stage, plan in plans.items() if not plan.fits} - {
        "train_singleft",
        "score_rationales",
    } == too_large, plans


def test_a_training_that_shrinks_its_batch_fits_where_the_guide_says(tmp_path):
    """The guide: 5,120 tokens at one sample on 24 GB, 8,192 tokens at four on 80 GB."""
    size = model_size(qwen3_14b(tmp_path / "base"))
    assert training_plan(size, TrainingLoad("nf4", 32, 1, 5120, checkpointing=True), 24e9 / GIB).fits
    assert training_plan(size, TrainingLoad("nf4", 32, 4, 8192, checkpointing=True), 80e9 / GIB).fits
    assert not training_plan(size, TrainingLoad("bf16", 32, 1, 5120, checkpointing=True), 24e9 / GIB).fits


def test_a_served_copy_is_planned_for_answers_and_scores_and_the_base_for_training(tmp_path):
    sections, base = sections_of(tmp_path, "llm=qwen3_14b"), qwen3_14b(tmp_path / "base")
    copy = qwen3_14b(tmp_path / "awq", quant_method="awq", bits=4, group_size=128)
    size, card = model_size(base), 32e9 / GIB
    alone, served = stage_plans(sections, base, size, card), stage_plans(sections, base, size, card, copy)
    assert alone["train_dualft"] == served["train_dualft"]
    for stage in ("infer_vllm", "score_candidates"):
        assert not alone[stage].fits and served[stage].fits
