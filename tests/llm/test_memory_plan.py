"""The plan's parts against figures that others published, and against files."""

from dataclasses import replace

import pytest
from transformers import Qwen3Config

from kitrec.core.errors import InputError
from kitrec.llm.base import memory_plan
from kitrec.llm.base.memory_plan import GIB, TrainingLoad, check_scoring, check_training, model_size
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.generation.engine_memory import check_fits, serving_plan
from tests.llm.made_methods import made_engine

BF16 = made_engine(max_model_len=10_240)


@pytest.fixture(scope="module")
def qwen3_14b(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen3-14b")
    sizes = {"hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 40, "head_dim": 128}
    heads = {"num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 151936, "tie_word_embeddings": False}
    Qwen3Config(**sizes, **heads, architectures=["Qwen3ForCausalLM"]).save_pretrained(folder)
    return model_size(PinnedBase(path=str(folder), revision=None, fingerprint="x"))


def changed(**changes):
    return replace(BF16, **changes)


def test_qwen3_14b_has_its_published_size(qwen3_14b):
    """14.8 billion parameters, 13.2 without embeddings (model card); 160 KiB of cache per token in bf16."""
    total = qwen3_14b.linear_weights + qwen3_14b.other_weights
    assert total / 1e9 == pytest.approx(14.8, abs=0.05) and qwen3_14b.linear_weights / 1e9 == pytest.approx(
        13.2, abs=0.05
    )
    assert qwen3_14b.cache_per_token * 2 == 160 * 1024


def test_bf16_fits_80_gb_and_not_32_where_fp8_does(qwen3_14b):
    card = 32e9 / GIB
    assert serving_plan(qwen3_14b, BF16, 4, 32, 80e9 / GIB).fits
    assert not serving_plan(qwen3_14b, BF16, 4, 32, card).fits
    assert serving_plan(qwen3_14b, changed(quantization="fp8"), 4, 32, card).fits


def test_an_adapter_takes_what_its_file_takes(qwen3_14b):
    """The reference adapter of rank 32 has 513 MB, in float32."""
    adapter = (
        serving_plan(qwen3_14b, changed(dtype="float32"), 1, 32, 1000).parts["adapters"] / 2
    )  # two slots for one adapter
    assert adapter * GIB / 1e6 == pytest.approx(513, rel=0.01)


def test_the_tiny_base_has_the_size_of_its_file(tiny_base):
    size = model_size(pin(Base(path=str(tiny_base), revision=None)))
    on_disk = (tiny_base / "model.safetensors").stat().st_size
    assert 2 * (size.linear_weights + size.other_weights) == pytest.approx(on_disk, rel=0.02)


def test_a_base_that_does_not_fit_is_refused_with_the_numbers(tiny_base, monkeypatch):
    monkeypatch.setattr(memory_plan, "device_memory", lambda: 1.0)
    with pytest.raises(
        InputError, match=r"does not fit this device: it needs 1\.\d GiB \(weights .* of 0\.8 GiB; lower"
    ):
        check_fits(pin(Base(path=str(tiny_base), revision=None)), BF16, 4, 32)


def test_scoring_and_training_warn_on_a_cpu_and_are_refused_on_a_gpu(tiny_base, monkeypatch, capsys):
    """Free memory of a CPU says little; a card is as large as it is."""
    base = pin(Base(path=str(tiny_base), revision=None))
    monkeypatch.setattr(memory_plan, "device_memory", lambda: 1.0)
    check_scoring(base, "bfloat16", 4, 32)
    assert "WARNING" in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(InputError, match=r"does not fit .*activations .*set engine.quantization: fp8"):
        check_scoring(base, "bfloat16", 4, 32)
    with pytest.raises(InputError, match="NF4 weights, gradient checkpointing"):
        check_training(base, TrainingLoad("nf4", 32, 4, 1024, checkpointing=False), shrinks=True)
