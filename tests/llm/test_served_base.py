"""`base.served`: a quantised copy answers and scores, and training does not know of it."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kitrec.config.sections import validate_params
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import FILE, SERVED, pin, pin_served, read_pinned
from kitrec.llm.base.shape import quantisation_name
from stages import pin_base
from stages.lib import dvcfile
from tests.conftest import ROOT


def set_served(served: dict[str, str | None] | None, base: str = "base/tiny-qwen3") -> None:
    """Write the shipped params.yaml with another base and served copy."""
    tree = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    tree["base"] = {"path": base, "revision": None, "served": served}
    with Path("params.yaml").open("w") as stream:
        YAML(typ="safe").dump(tree, stream)


def quantised_copy(tiny_base: Path, folder: Path, **changes: object) -> Path:
    """The base as an AWQ copy of it is laid out: packed weights are other bytes, sizes and tokens are the same."""
    shutil.copytree(tiny_base, folder)
    config = files.read_json(folder / "config.json") | {"quantization_config": {"quant_method": "awq", "bits": 4}}
    files.write_json(config | changes, folder / "config.json")
    (folder / "extra.safetensors").write_bytes(b"scales")
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch, tiny_base) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/tiny-qwen3").symlink_to(tiny_base)
    monkeypatch.chdir(tmp_path)
    set_served(None)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_without_a_copy_the_base_itself_is_served():
    pin_base.main()
    assert FILE.read_bytes() == SERVED.read_bytes() and read_pinned().path == "base/tiny-qwen3"


def test_a_copy_to_serve_changes_nothing_that_training_depends_on(project, tiny_base):
    pin_base.main()
    before = FILE.read_bytes()
    quantised_copy(tiny_base, project / "base/awq")
    set_served({"path": "base/awq", "revision": None})
    pin_base.main()
    served = read_pinned(SERVED)
    assert FILE.read_bytes() == before
    assert served.path == "base/awq" and served.fingerprint != read_pinned().fingerprint
    assert quantisation_name(served) == "awq"


def test_a_copy_of_whole_weights_or_of_another_shape_is_refused_before_anything_is_pinned(project, tiny_base):
    quantised_copy(tiny_base, project / "base/wider", intermediate_size=512)
    for path, rule in (("base/tiny-qwen3", "whole weights"), ("base/wider", "other sizes or another vocabulary")):
        set_served({"path": path, "revision": None})
        with pytest.raises(InputError, match=f"base.served: {path} has {rule}"):
            pin_base.main()
    assert not FILE.exists() and not SERVED.exists()


@pytest.mark.usefixtures("project")
def test_a_copy_on_the_hub_needs_a_revision_of_its_own():
    set_served({"path": "Qwen/Qwen3-14B-AWQ", "revision": None})
    section = validate_params(Path("params.yaml"))["base"]
    with pytest.raises(InputError, match=r"base\.served\.revision: Qwen/Qwen3-14B-AWQ .*kitrec doctor --pin"):
        pin_served(section)
    assert pin(section).path == "base/tiny-qwen3"
    assert pin(Base(path="Qwen/Qwen3-14B-AWQ", revision="abc")).fingerprint == "Qwen/Qwen3-14B-AWQ@abc"


def test_answers_and_scores_depend_on_what_is_served_and_trainings_do_not():
    serving = {name for name, body in dvcfile.stages().items() if str(SERVED) in body.get("deps", [])}
    assert serving == {"infer_vllm", "score_candidates", "score_rationales", "probe_precision", "probe_orders"}
    trained = {name for name, body in dvcfile.stages().items() if str(FILE) in body.get("deps", [])}
    assert {"train_dualft", "train_singleft", "train_preference", "train_thinkrec"} < trained - serving
