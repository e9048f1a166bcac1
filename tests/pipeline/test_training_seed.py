"""`training_seed`: other trainings on the same data, the same ones where it is null."""

import json
from pathlib import Path

import pytest

from kitrec.config import profiles
from kitrec.core.randomness import derived_seed
from stages.lib import dvcfile
from stages.lib.seeds import training_seed
from tests.conftest import ROOT
from tests.pipeline.test_fingerprints import Project

STAGES = dvcfile.stages()
TRAININGS = {name for name in STAGES if name.startswith(("train_", "distill_"))} | {"make_teacher", "infer_teacher"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 42\n", 42),  # of a run before the key was there
        ("seed: 42\ntraining_seed: null\n", 42),
        ("seed: 42\ntraining_seed: 0\n", 0),
        ("seed: 42\ntraining_seed: 7\n", 7),
    ],
)
def test_trainings_have_their_seed_or_that_of_the_data(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text)
    assert training_seed() == expected
    assert derived_seed(training_seed(), "a", 1) == derived_seed(expected, "a", 1)


def test_stages_that_train_read_it_and_no_other_ones():
    assert {"train_dualft", "train_idrec", "train_student", "train_thinkrec", "train_titles"} < TRAININGS
    reading = {name for name, body in STAGES.items() if "training_seed" in body["params"]}
    assert reading == TRAININGS
    for name in TRAININGS:
        assert 'params.load(int, "seed")' not in (ROOT / f"stages/{name}.py").read_text(), name


def test_for_dvc_another_one_puts_trainings_out_of_date_and_not_the_data(tmp_path):
    project = Project(tmp_path)
    profiles.put(tmp_path / "params.yaml", {"training_seed": 7})
    status = json.loads(project.run("dvc", "status", "--json").stdout)
    changed = {
        name.partition("@")[0]
        for name, entries in status.items()
        for entry in entries
        if isinstance(entry, dict) and "training_seed" in entry.get("changed deps", {}).get("params.yaml", {})
    }
    assert changed == TRAININGS & project.stages_in_the_lock()
    assert {"train_dualft", "train_singleft", "train_idrec"} <= changed
    assert "prepare" in status  # its outs are missing: DVC did look


@pytest.mark.usefixtures("in_project")
def test_shipped_trainings_have_the_seed_of_the_data():
    assert training_seed() == 42
