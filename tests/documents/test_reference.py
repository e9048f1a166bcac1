"""The generated reference: nothing is missing, and what it says is what the code does."""

import re

import polars as pl
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

import kitrec
from kitrec.cli.main import app
from kitrec.config.sections import validate_tree
from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.schemas.scores import SCORES
from tests.conftest import ROOT

REFERENCE = ROOT / "docs/reference"
ROW = re.compile(r"^\| `([\w.]+)` \| `(.*?)` \| (.*?) \| (.*?) \|$", re.MULTILINE)


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def parameters() -> dict[str, tuple[str, str, str]]:
    return {key: (value, accepted, remark) for key, value, accepted, remark in ROW.findall(page("params"))}


def test_every_section_and_its_scalars_are_listed_with_their_values():
    tree = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    assert set(re.findall(r"^## (\w+)$", page("params"), re.MULTILINE)) == set(tree)
    listed = parameters()
    for section in ("world", "dualft", "candidates"):
        for key, value in tree[section].items():
            assert listed[f"{section}.{key}"][0] == (str(value).lower() if isinstance(value, bool) else str(value))


def test_remarks_are_those_of_the_file():
    listed = parameters()
    assert listed["dualft.learning_rate"][2].startswith("the 14B profile uses 2e-4")
    assert listed["candidates.count"][2].startswith("including the ground truth")


@pytest.mark.parametrize(
    ("key", "accepted", "refused", "fits"),
    [
        ("world.themes", "integer ≥ 4", 3, 4),
        ("dualft.learning_rate", "number > 0", 0.0, 0.5),
        ("source.reject_limit", "number ≥ 0, < 1", 1.0, 0.0),
        ("source.overlap", "`stop`, `report`, `drop`", "keep", "drop"),
        ("data.test_sets", "list of `A`, `B`, 1 or more entries", [], ["A", "B"]),
    ],
)
def test_what_is_accepted_is_what_the_check_accepts(key, accepted, refused, fits):
    assert parameters()[key][1] == accepted
    section, name = key.split(".")
    for value, valid in ((refused, False), (fits, True)):
        tree = params.read(ROOT / "params.yaml")
        tree[section] = {**tree[section], name: value}
        if valid:
            validate_tree(tree, ROOT / "params.yaml")
        else:
            with pytest.raises(InputError, match=re.escape(key)):
                validate_tree(tree, ROOT / "params.yaml")


def test_every_command_that_help_lists_has_its_section():
    shown = CliRunner().invoke(app, ["--help"], catch_exceptions=False).output
    commands = set(re.findall(r"^│ ([a-z][a-z-]+) {2,}", shown, re.MULTILINE))
    sections = {name.split()[1] for name in re.findall(r"^## (kitrec .*)$", page("cli"), re.MULTILINE)}
    assert commands == sections and {"show", "profile", "fit"} <= sections
    assert "| `--k-core` |" in page("cli")


def test_tables_have_their_columns_and_keys():
    text = page("tables").partition("\n## scores\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\S+)` \|", text, re.MULTILINE) == list(SCORES.columns)
    assert "Key: `method`, `record_id`, `kind`." in text and SCORES.columns["hit@1"] == pl.Float64
    assert "| `hit@1` | Float64 |  |" in text


def test_public_functions_have_their_signatures():
    text = page("python")
    public = {name for name in vars(kitrec.Run) if not name.startswith("_") and name not in ("folder", "test_set")}
    assert public == set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert "compare(method: str, other: str, kind:" in text and "-> pl.DataFrame" in text
