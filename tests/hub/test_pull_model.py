"""Adapters that others published are pulled at a commit, checked, and put where a method names them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kitrec.cli.hub import pull_model
from kitrec.core.errors import InputError
from kitrec.hub.folders import write_model
from kitrec.hub.pull import fetch, target_folder
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.adapters import check_adapter
from tests.conftest import ROOT
from tests.hub.test_hub import environment_without_hf
from tests.hub_server import Hub, serve
from tests.llm.made_foreign import made_foreign

MODELS = ("dualft-movies", "dualft-music", "singleft-movies", "singleft-music")


@pytest.fixture(scope="module")
def adapter(tiny_base, tmp_path_factory) -> Path:
    return made_foreign(tiny_base, tmp_path_factory.mktemp("theirs") / "best")


@pytest.fixture(scope="module")
def hub():
    hub = Hub()
    server = serve(hub)
    yield hub
    server.shutdown()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for name in ("conf", "base"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_hub(hub: Hub, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the hub in miniature, whose address the hub's client reads on import."""
    variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(project / "cache"), "HF_HUB_DISABLE_XET": "1"}
    variables |= {"PYTHONPATH": str(ROOT), "COLUMNS": "300", "HF_TOKEN": "hf_secret"}
    environment = environment_without_hf() | variables
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def copied(adapter: Path, folder: Path) -> Path:
    return Path(shutil.copytree(adapter, folder))


def published(hub: Hub, name: str, folder: Path, leave_out: str = "", **more: bytes) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != leave_out}
    hub.repositories["models", name] = {**files, **more}


def test_the_four_models_of_a_set_are_pulled_at_their_commits(hub, project, adapter):
    for model in MODELS:
        spelling = "" if model == "dualft-music" else "-model"  # both spellings of the documents
        published(hub, f"author/kitrec-{model}-setA{spelling}", adapter, **{"training_args.bin": b"pickle"})
    command = "from kitrec.cli.main import main; main()"
    shown = with_hub(hub, project, "-c", command, "hub", "pull-model", "author", "--set", "A", "--as", "published")
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr.count("trained elsewhere; training data, candidate lists, prompt") == 1
    assert shown.stderr.count("WARNING: ") == 2 and "their weights may not" in shown.stderr
    for model in MODELS:
        folder = project / "models/published" / model
        names = {"adapter_config.json", "adapter_model.safetensors", "origin.json"}
        assert {path.name for path in folder.iterdir()} == names
        origin = json.loads((folder / "origin.json").read_text())
        repository = origin["pulled"]["source"]
        assert repository.startswith(f"author/kitrec-{model}-setA")
        assert origin["pulled"]["commit"] == hub.commit_of(repository)
        assert re.fullmatch("[0-9a-f]{64}", origin["pulled"]["weights"])
        assert origin["foreign"] is True and origin["rank"] == 4 and origin["candidate_set"] is None
    assert hub.tokens <= {"Bearer hf_secret"}
    assert check_adapter(folder, pin(Base(path="base/tiny-qwen3", revision=None)))["r"] == 4


def test_a_revision_is_resolved_to_its_commit(hub, project, adapter):
    published(hub, "author/one", adapter)
    script = "from kitrec.hub.pull import fetch; print(fetch('author/one', 'main').commit)"
    assert with_hub(hub, project, "-c", script).stdout.strip() == hub.commit_of("author/one")


FETCH = """
import sys
from kitrec.core.errors import InputError
from kitrec.hub.pull import fetch, pull, target_folder
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
base = pin(Base(path="base/tiny-qwen3", revision=None))
for name in sys.argv[1:]:
    try:
        pull(fetch(name, None), target_folder("published/dualft-music"), base)
    except InputError as problem:
        print(problem)
"""


def test_what_cannot_be_used_leaves_nothing_behind(hub, project, adapter):
    hub.repositories["models", "author/pickled"] = {"adapter_config.json": b"{}", "adapter_model.bin": b"pickle"}
    hub.repositories["models", "author/merged"] = {"config.json": b"{}", "model-00001.safetensors": b"x"}
    config = json.loads((adapter / "adapter_config.json").read_text()) | {"use_dora": True}
    published(hub, "author/dora", adapter, **{"adapter_config.json": json.dumps(config).encode()})
    messages = {"pickled": "a format that may run code", "merged": "holds a whole model", "dora": "DoRA (use_dora)"}
    messages |= {"nobody": "the hub has no author/nobody, or it is private: check the name, or set HF_TOKEN"}
    shown = with_hub(hub, project, "-c", FETCH, *(f"author/{name}" for name in messages))
    assert shown.returncode == 0, shown.stderr
    refusals = shown.stdout.splitlines()
    assert len(refusals) == len(messages)
    for refusal, (name, message) in zip(refusals, messages.items(), strict=True):
        assert f"author/{name}" in refusal and message in refusal
    assert not list((project / "models").glob("**/*"))


def test_a_folder_is_taken_as_it_lies_and_other_tokens_are_warned_of(project, adapter, capsys):
    folder = copied(adapter, project / "best")
    tokenizer = json.loads((ROOT / "base/tiny-qwen3/tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    pull_model("./best", "published/dualft-music")
    assert "tokens of its tokenizer" not in capsys.readouterr().err
    tokenizer["added_tokens"].append({"id": 9000, "content": "<rank>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    pull_model("./best", "published/dualft-music")
    assert "best: 1 tokens of its tokenizer ('<rank>') are not those of the base" in capsys.readouterr().err
    pulled = json.loads((project / "models/published/dualft-music/origin.json").read_text())["pulled"]
    assert pulled["source"] == "best" and pulled["commit"] is None


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("full/dualft-music", "which stages write"),
        ("base/dualft-music", "which stages write"),
        ("../up/dualft-music", "name the variant by letters"),
        ("published", "a variant has a model for each user type"),
        ("published/../dualft-music", "a variant has a model for each user type"),
    ],
)
def test_adapters_of_others_never_stand_where_stages_write(place, message):
    with pytest.raises(InputError, match=message):
        target_folder(place)


def test_a_name_that_is_no_repository_is_refused_before_the_hub_is_called():
    with pytest.raises(InputError, match="is neither a folder here nor OWNER/NAME"):
        fetch("../secret", None)


def test_an_adapter_that_this_project_published_keeps_what_it_knows(project, adapter, capsys):
    fingerprint = pin(Base(path="base/tiny-qwen3", revision=None)).fingerprint
    known = {
        "base": fingerprint,
        "records": "x",
        "candidate_set": "B",
        "candidates": 20,
        "prompt": {"text": "rendered"},
    }
    (copied(adapter, project / "ours") / "origin.json").write_text(json.dumps(known))
    pull_model("./ours", "published/singleft-music")
    assert "trained elsewhere" not in capsys.readouterr().err
    origin = json.loads((project / "models/published/singleft-music/origin.json").read_text())
    assert {key: origin[key] for key in known} == known and origin["pulled"]["source"] == "ours"


def test_an_adapter_of_others_is_not_published_as_ours(project, adapter):
    copied(adapter, project / "models/published/dualft-music")
    with pytest.raises(InputError, match="was trained elsewhere: it is its authors' to publish"):
        write_model("name", "A", "dualft_music", "published", project, project / "out")
