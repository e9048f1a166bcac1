"""A method names any folder of adapters under models/ that holds one for every user type."""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from kitrec.config import profiles
from kitrec.config.sections import validate_params
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from tests.conftest import ROOT

KEY = "infer.methods.kitrec_full.model"


@pytest.fixture
def params_file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def put_there(variant: str, *models: str) -> None:
    for model in models:
        folder = Path("models") / variant / model
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")


def test_a_folder_with_an_adapter_for_every_user_type_is_a_model(params_file):
    put_there("published", *KITREC.models)
    profiles.put(params_file, {KEY: "published"})
    assert validate_params(params_file)["infer"].methods["kitrec_full"].model == "published"
    profiles.put(params_file, {"infer.methods.kitrec_full.thinking": False})  # others' adapters may answer at once


def test_missing_adapters_are_named_with_the_command_that_fetches_them(params_file):
    put_there("other", *KITREC.models)
    put_there("published", "dualft-movies", "singleft-movies")
    message = (
        r"kitrec_full.model: published is not trained here, and models/published lacks dualft-music, singleft-music: "
        r"every user type needs its adapter; fetch it by `kitrec hub pull-model OWNER/NAME --as "
        r"published/dualft-music`, or set base, full, other"
    )
    with pytest.raises(InputError, match=message):
        profiles.put(params_file, {KEY: "published"})
    with pytest.raises(InputError, match=r"direct is not trained; add it to train\.variants"):
        profiles.put(params_file, {KEY: "direct", "infer.methods.kitrec_full.thinking": False})


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", ".hidden", "two words", "$(x)"])
def test_names_that_are_no_plain_folder_are_refused(params_file, name):
    with pytest.raises(InputError, match=r"kitrec_full\.model: .* is refused"):
        profiles.put(params_file, {KEY: name})


def test_nothing_is_trained_for_a_method_of_published_adapters(params_file, tmp_path):
    """Upstream of the evaluation stand no stages of training: hours of a GPU hang on it."""
    put_there("published", *KITREC.models)
    profiles.put(params_file, {KEY: "published"})
    for name in ("dvc.yaml", "code.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    repo = Repo.init(str(tmp_path), no_scm=True)
    graph = repo.index.graph
    (evaluate,) = [stage for stage in graph if getattr(stage, "name", "") == "evaluate"]
    upstream, pending = set(), [evaluate]
    while pending:
        stage = pending.pop()
        upstream.add(stage.name)
        pending += [parent for parent in graph.successors(stage) if parent.name not in upstream]
    assert "infer_vllm@kitrec_full" in upstream and "prepare" in upstream
    assert not [name for name in upstream if name.startswith(("train_dualft", "train_singleft"))]
