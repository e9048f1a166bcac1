"""What dvc.yaml iterates over, given as something else: the check names the key, and so do most of DVC's own words."""

import functools
import json
import re
from copy import deepcopy
from typing import Any

import pytest
from dvc.parsing import DataResolver, ResolveError
from dvc.repo import Repo
from ruamel.yaml import YAML

from kitrec.config.sections import validate_tree
from kitrec.core import params
from kitrec.core.errors import InputError
from tests.conftest import ROOT

TREE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
STAGES = TREE["stages"]
PARAMS = params.read(ROOT / "params.yaml")


def iterated() -> list[str]:
    """The params that foreach and matrix of dvc.yaml name."""
    sources = [body["foreach"] for body in STAGES.values() if "foreach" in body]
    sources += [each for body in STAGES.values() for name, each in body.get("matrix", {}).items() if "$" not in name]
    return sorted({re.fullmatch(r"\$\{([\w.]+)\}", source)[1] for source in sources})


def test_every_source_of_instances_is_known():
    assert {"train.targets", "train.variants", "idrec.train", "infer.methods", "distillation.teachers"} < set(
        iterated()
    )


def put(tree: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key."""
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


@pytest.mark.parametrize("value", ["full", None, 3])
@pytest.mark.parametrize("key", iterated())
def test_a_scalar_is_refused_with_its_key(key, value):
    tree = deepcopy(PARAMS)
    put(tree, key, value)
    with pytest.raises(InputError, match=rf"{re.escape(key)}: {value!r} is refused: input should be"):
        validate_tree(tree, ROOT / "params.yaml")


IN_A_MATRIX = ("train.targets", "train.variants")  # never empty, so an item can be looked up
NO_WAY = "distillation.teachers"  # empty by default, and no foreach before its matrix iterates over it


@pytest.fixture(scope="module")
def repo(tmp_path_factory) -> Repo:
    return Repo.init(str(tmp_path_factory.mktemp("dvc")), no_scm=True)


@pytest.mark.parametrize("value", ["full", None])
@pytest.mark.parametrize("key", iterated())
def test_dvc_itself_names_the_key_or_the_foreach(tmp_path, repo, key, value):
    lists: dict[str, Any] = {}
    for name in iterated():
        put(lists, name, value if name == key else functools.reduce(dict.__getitem__, name.split("."), PARAMS))
    (tmp_path / "params.yaml").write_text(json.dumps(lists))
    resolver = DataResolver(repo, str(tmp_path), TREE)
    if key == NO_WAY:
        with pytest.raises(TypeError, match="'Value' object is not iterable"):
            resolver.get_keys()
        return
    with pytest.raises(ResolveError) as refused:
        resolver.get_keys()
    if key in IN_A_MATRIX:
        assert f"Could not find '{key}.0'" in str(refused.value)
    else:
        named = re.search(r"'stages\.(\w+)\.foreach' in .* expected list/dictionary, got", str(refused.value))
        assert STAGES[named[1]]["foreach"] == f"${{{key}}}"


def test_the_look_up_of_an_item_changes_no_stage():
    stages = {stage.addressing: stage for stage in Repo(str(ROOT)).index.stages}
    targets = PARAMS["train"]["targets"]
    names = {name for name in stages if name.startswith(("train_dualft", "train_singleft"))}
    assert names == {f"train_{kind}@{target}-full" for kind in ("dualft", "singleft") for target in targets}
    assert stages["train_dualft@movies-full"].cmd == "python -m stages.train_dualft movies-full"


def test_make_repro_checks_the_params_before_dvc_reads_them():
    steps = (ROOT / "Makefile").read_text().partition("\nrepro: setup\n")[2].partition("\n\n")[0].split("\n\t")
    check = next(k for k, step in enumerate(steps) if "stages.check_params" in step)
    assert check < next(k for k, step in enumerate(steps) if "stages.lib.repro" in step)
