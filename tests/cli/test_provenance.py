"""`kitrec provenance` on a copy of the committed run: written, checked against itself, against changes and repeats."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench.clone import ENVIRONMENT, make_clone
from kitrec.cli.main import app
from kitrec.config import profiles
from kitrec.core import files
from kitrec.core.errors import InputError
from tests.conftest import ROOT

FILE = "report/provenance.json"
HEADLINE = "metrics/evaluate.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    make_clone(folder, [])
    return folder


@pytest.fixture
def project(clone, monkeypatch) -> Path:
    monkeypatch.chdir(clone)
    git("checkout", "-q", "-f", "master" if "master" in git("branch") else "main")
    return clone


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


def kitrec(*words: str) -> Result:
    return CliRunner().invoke(app, ["provenance", *words], catch_exceptions=False)


def change_headline(path: Path, value: float) -> None:
    content = json.loads(path.read_text())
    content["kitrec_full"]["scored"]["hit@1"] = value
    files.write_json(content, path)


@pytest.mark.usefixtures("project")
def test_a_file_holds_what_an_audit_asks_for():
    assert kitrec("write").exit_code == 0
    content = files.read_json(Path(FILE))
    run = content["runs"]["workspace"]
    assert run["commit"] == {"revision": git("rev-parse", "HEAD").strip(), "dirty": False, "changed": []}
    assert run["code"]["stages"].keys() >= {"prepare", "train_dualft@movies-full", "evaluate"}
    assert run["params"]["differences"] == [] and run["params"]["values"]["dualft.batch_size"] > 0
    assert run["seeds"] == {"seed": 42, "training_seed": None}
    assert run["data"]["inputs"].keys() == {"raw"} and run["data"]["statistics"]["records"]["test"]
    assert {"data/records", "data/rankings/sasrec", "models/base/base.json"} <= run["data"]["outs"].keys()
    assert run["base"]["path"] == "base/tiny-qwen3"
    assert run["hardware"][0]["cpus"] and "evaluate" in run["hardware"][0]["stages"]
    assert run["software"][0]["torch"]
    assert run["cost"]["stages"]["evaluate"]["seconds"] > 0 and run["cost"]["seconds"] > 60
    assert run["results"][HEADLINE] == files.read_json(ROOT / HEADLINE)
    assert not [path for path in run["results"] if path.startswith("metrics/cost")]
    assert content["written_on"]["packages"]["polars"]


@pytest.mark.usefixtures("project")
def test_every_path_of_the_checklist_is_in_the_file():
    kitrec("write")
    run = files.read_json(Path(FILE))
    _, checklist = (ROOT / "docs/specification/provenance.md").read_text().split("| question |")
    rows = [line.split("|")[2] for line in checklist.splitlines() if line.startswith("| ")]
    paths = [part for row in rows for part in row.split("`")[1::2]]
    assert len(paths) > 20
    for path in paths:
        node = run if path.startswith("written_on") else run["runs"]["workspace"]
        for key in path.split(" › "):
            node = node[int(key)] if isinstance(node, list) else node[key]


@pytest.mark.usefixtures("project")
def test_the_same_run_agrees_to_the_byte_and_a_changed_number_does_not():
    kitrec("write")
    same = kitrec("check", FILE)
    assert same.exit_code == 0 and "outs with equal hashes" in same.output
    assert kitrec("check", FILE, "HEAD").exit_code == 0
    change_headline(Path(HEADLINE), 0.5)
    changed = kitrec("check", FILE)
    assert changed.exit_code == 1 and "kitrec_full.scored.hit@1" in changed.output


@pytest.mark.usefixtures("project")
def test_repeats_of_other_revisions_and_machines_give_a_spread():
    git("checkout", "-q", "-B", "repeats")
    kitrec("write", "--to", "first.json")
    for name, value in (("second", 0.25), ("third", 0.22)):
        change_headline(Path(HEADLINE), value)
        git("commit", "-qam", name)
        git("tag", "-f", name)
    change_headline(Path(HEADLINE), 0.245)
    assert kitrec("check", "first.json").exit_code == 1  # one run has no spread
    assert kitrec("write", "second", "third", "--also", "first.json").exit_code == 0
    within = kitrec("check", FILE)
    assert within.exit_code == 0 and "spread of 3 runs, at 0.95 for all numbers together" in within.output
    change_headline(Path(HEADLINE), 50.0)  # three runs and all numbers together: t is above 100
    assert kitrec("check", FILE).exit_code == 1


@pytest.mark.usefixtures("project")
def test_another_experiment_is_no_reproduction_whatever_its_numbers():
    kitrec("write")
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("candidate_set: A ", "candidate_set: B "))
    other = kitrec("check", FILE)
    assert other.exit_code == 3 and "param data.candidate_set" in other.output
    kitrec("write", "--to", "other.json")
    assert files.read_json(Path("other.json"))["runs"]["workspace"]["params"]["differences"] == [
        {"key": "data.candidate_set", "shipped": "A", "here": "B", "by": "by hand"}
    ]
    assert kitrec("check", FILE, "other.json").exit_code == 3
    with pytest.raises(InputError, match="HEAD is no repeat of workspace"):
        kitrec("write", "workspace", "HEAD")


@pytest.mark.usefixtures("project")
def test_a_stale_item_of_a_matrix_is_named_behind_a_fresh_one():
    kitrec("write", "--to", "fresh.json")
    ran = files.read_json(Path("fresh.json"))["runs"]["workspace"]["code"]["stages"]
    files.write_json({name.partition("@")[0]: fingerprint for name, fingerprint in ran.items()}, Path("code.yaml"))
    path = Path("dvc.lock")
    lock = path.read_text()
    at = lock.index("train_dualft: ", lock.index("train_dualft@movies-full:")) + len("train_dualft: ")
    path.write_text(lock[:at] + "0" * 8 + lock[lock.index("\n", at) :])
    assert "the code of train_dualft@movies-full has changed" in kitrec("write").output
    assert files.read_json(Path(FILE))["runs"]["workspace"]["code"]["changed_since"] == ["train_dualft@movies-full"]
    other = kitrec("check", "fresh.json")
    assert other.exit_code == 3 and "code of train_dualft@movies-full" in other.output


@pytest.mark.usefixtures("project")
def test_the_number_of_trainings_is_a_term_of_the_experiment_and_the_seed_is_none():
    kitrec("write")
    profiles.put(Path("params.yaml"), {"seed": 43})
    assert kitrec("check", FILE).exit_code == 0
    profiles.put(Path("params.yaml"), {"distillation.seeds": 4})
    other = kitrec("check", FILE)
    assert other.exit_code == 3 and "param distillation.seeds" in other.output


@pytest.mark.usefixtures("project")
def test_refusals_name_the_way_out():
    kitrec("write")
    with pytest.raises(InputError, match="no experiment and no git revision"):
        kitrec("write", "nowhere")
    with pytest.raises(InputError, match=r"--level 95\.0: give a probability"):
        kitrec("check", FILE, "--level", "95")
    with pytest.raises(InputError, match="see the keys of its `results`"):
        kitrec("check", FILE, "--metrics", "evaluate")
    with pytest.raises(InputError, match="is no provenance file of format 2"):
        kitrec("check", HEADLINE)
    Path("dvc.lock").unlink()
    with pytest.raises(InputError, match=r"workspace has no dvc\.lock: run from the project's root"):
        kitrec("write")
