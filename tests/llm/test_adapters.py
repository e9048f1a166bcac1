"""Adapters on disk hold nothing of the machine and belong to the base they were trained on."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.adapters import check_adapter, prompt_warnings, save_adapter
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.likelihood.scorers import scores_through_engine, served_weights
from kitrec.prompts.params import Prompt
from tests.conftest import ROOT
from tests.llm.made_methods import made_engine


def untrained_checkpoint(base, p, folder: Path) -> Path:
    with_lora(AutoModelForCausalLM.from_pretrained(base.path), p).save_pretrained(folder / "checkpoint")
    return folder / "checkpoint"


def test_an_adapter_of_another_base_is_refused(base, p, tmp_path, tokenizer):
    checkpoint = untrained_checkpoint(base, p, tmp_path)
    save_adapter(checkpoint, tokenizer, base, {"candidate_set": "A"}, tmp_path / "adapter")
    assert check_adapter(tmp_path / "adapter", base)["r"] == 4
    with pytest.raises(InputError, match="was trained on another base"):
        check_adapter(tmp_path / "adapter", replace(base, fingerprint="sha256:other"))
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no adapter_model.safetensors"):
        check_adapter(tmp_path / "adapter", base)


def test_an_adapter_on_disk_is_safetensors_and_names_no_machine_path(base, p, tmp_path, tokenizer):
    checkpoint = untrained_checkpoint(base, p, tmp_path)
    save_adapter(checkpoint, tokenizer, replace(base, path="base/tiny-qwen3"), {}, tmp_path / "adapter")
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "origin.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    for path in (tmp_path / "adapter").glob("*.json"):
        assert str(ROOT) not in path.read_text() and str(tmp_path) not in path.read_text()
    assert set(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))


def test_an_adapter_that_learned_other_prompts_is_warned_of(tmp_path):
    rendered = Prompt(max_length=1024, text="rendered", summaries=True, labels=False, answer_begins_with="id")
    published = replace(rendered, text="published", max_length=4096)
    folders = {name: tmp_path / name for name in ("ours", "older", "anothers")}
    for folder in folders.values():
        folder.mkdir()
    files.write_json({"base": "b", "prompt": rendered.form}, folders["ours"] / "origin.json")
    files.write_json({"base": "b"}, folders["older"] / "origin.json")
    assert prompt_warnings(folders, replace(rendered, max_length=4096).form) == []
    for prompt in (published, replace(rendered, summaries=False), replace(rendered, labels=True)):
        (warning,) = prompt_warnings(folders, prompt.form)
        assert warning.startswith(f"ours learned prompts of {rendered.form}, and now gets {prompt.form}")
    assert replace(published, summaries=False).form == published.form


def test_a_hub_base_must_be_pinned():
    with pytest.raises(InputError, match="kitrec doctor --pin"):
        pin(Base(path="Qwen/Qwen3-14B", revision=None))
    assert pin(Base(path="Qwen/Qwen3-14B", revision="abc")).fingerprint == "Qwen/Qwen3-14B@abc"


def test_a_folder_without_weights_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no config\.json with safetensors"):
        pin(Base(path=str(tmp_path), revision=None))


def quantised_copy(tiny_base, folder, **changes):
    """The base's configuration and tokenizer as an AWQ copy publishes them; its weights are not read here."""
    shutil.copytree(tiny_base, folder)
    config = files.read_json(folder / "config.json") | changes
    files.write_json(config | {"quantization_config": {"quant_method": "awq", "bits": 4}}, folder / "config.json")
    return pin(Base(path=str(folder), revision=None))


def test_a_quantised_copy_takes_the_adapters_of_its_twin_and_of_no_other_shape(base, p, tmp_path, tokenizer, tiny_base):
    save_adapter(untrained_checkpoint(base, p, tmp_path), tokenizer, base, {}, tmp_path / "adapter")
    twin = replace(quantised_copy(tiny_base, tmp_path / "awq"), fingerprint="sha256:awq")
    assert check_adapter(tmp_path / "adapter", twin)["r"] == 4
    wider = quantised_copy(tiny_base, tmp_path / "wider", intermediate_size=512)
    with pytest.raises(InputError, match="no quantised copy of its shape"):
        check_adapter(tmp_path / "adapter", replace(wider, fingerprint="sha256:awq"))
    with pytest.raises(InputError, match="another base"):  # whole weights of the same shape are other weights
        check_adapter(tmp_path / "adapter", replace(base, fingerprint="sha256:other"))


def test_scores_come_from_the_weights_that_answer(base, tiny_base, tmp_path):
    """Whole weights on one device are scored by transformers; what only the engine can load, by the engine."""
    awq = quantised_copy(tiny_base, tmp_path / "awq")
    assert not scores_through_engine(base, made_engine())
    assert scores_through_engine(base, made_engine(quantization="fp8"))
    assert scores_through_engine(base, made_engine(tensor_parallel_size=2))
    assert scores_through_engine(awq, made_engine()) and served_weights(awq, made_engine()) == "awq"
    with pytest.raises(InputError, match=r"quantised already \(awq\)"):
        load_quantised(awq)
