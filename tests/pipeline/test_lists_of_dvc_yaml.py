"""What dvc.yaml iterates over, given as something else: the check that `make repro` runs before DVC names the key."""

import re

import pytest
from ruamel.yaml import YAML

from kitrec.config.sections import validate_params
from kitrec.core.errors import InputError
from tests.conftest import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def iterated() -> list[str]:
    """The params that foreach and matrix of dvc.yaml name."""
    sources = [body["foreach"] for body in STAGES.values() if "foreach" in body]
    sources += [each for body in STAGES.values() for each in body.get("matrix", {}).values()]
    return sorted({re.fullmatch(r"\$\{([\w.]+)\}", source)[1] for source in sources})


def test_every_source_of_instances_is_known():
    assert {"train.targets", "train.variants", "idrec.train", "infer.methods", "distillation.teachers"} < set(
        iterated()
    )


@pytest.mark.parametrize("value", ["full", None, 3])
@pytest.mark.parametrize("key", iterated())
def test_a_scalar_is_refused_with_its_key(tmp_path, key, value):
    tree = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        node = node[parent]
    node[last] = value
    path = tmp_path / "params.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(tree, file)
    with pytest.raises(InputError, match=rf"{re.escape(key)}: {value!r} is refused: input should be"):
        validate_params(path)


def test_make_repro_checks_the_params_before_dvc_reads_them():
    steps = (ROOT / "Makefile").read_text().partition("\nrepro: setup\n")[2].partition("\n\n")[0].split("\n\t")
    check = next(k for k, step in enumerate(steps) if "stages.check_params" in step)
    assert check < next(k for k, step in enumerate(steps) if "dvc repro" in step)
