"""Code as a dependency: what an edit of the code puts out of date, by a real `dvc status` in a copy of the project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.lib.dvcfile import stage_scripts
from stages.lib.fingerprints import current_fingerprints, reached_files, read_fingerprints
from tests.conftest import ROOT

FORMULA = "kitrec/core/randomness.py"


def test_code_yaml_is_today_s_code():
    assert read_fingerprints() == current_fingerprints(), "run `python -m stages.lib.fingerprints`, commit code.yaml"


class Project:
    """A copy of the project's tracked code with the committed dvc.lock, and no outs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("kitrec", "stages"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "dvc.lock", "params.yaml", "code.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, folder / name)
        for command in (["git", "init", "-q"], ["dvc", "init", "-q", "--no-scm", "-f"]):
            self.run(*command)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new, 1))

    def refresh(self) -> None:
        assert self.run(sys.executable, "-m", "stages.lib.fingerprints").returncode == 0

    def stages_with_changed_code(self) -> set[str]:
        """Stage names, without the item of a matrix, whose code `dvc status` calls changed."""
        status = json.loads(self.run("dvc", "status", "--json").stdout)
        changed = {
            name.partition("@")[0]
            for name, entries in status.items()
            for entry in entries
            if isinstance(entry, dict) and "code.yaml" in entry.get("changed deps", {})
        }
        assert set(status) >= {"evaluate"}  # outs are missing: DVC did look
        return changed

    def stages_in_the_lock(self) -> set[str]:
        from ruamel.yaml import YAML

        locked = YAML(typ="safe").load((self.folder / "dvc.lock").read_text())["stages"]
        return {name.partition("@")[0] for name in locked} - {"build_base"}  # frozen: never looked at


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_comments_docstrings_blank_lines_and_layout_put_nothing_out_of_date(project):
    text = (project.folder / FORMULA).read_text()
    first = text.index('"""')
    changed = (
        text[:first] + '"""Another docstring.\n\n' + text[first + 3 :].replace("\ndef ", "\n\n# a comment\n\ndef ")
    )
    (project.folder / FORMULA).write_text(changed)
    project.refresh()
    assert project.stages_with_changed_code() == set()


def test_a_changed_constant_puts_exactly_the_stages_that_reach_it_out_of_date(project):
    path = "kitrec/llm/base/loading.py"
    text = (project.folder / path).read_text()
    (project.folder / path).write_text(text + "\nNEW_CONSTANT = 1\n")
    project.refresh()
    reaching = {stage for stage, script in stage_scripts().items() if path in reached_files(script)}
    expected = reaching & project.stages_in_the_lock()
    assert {"train_dualft", "infer_vllm"} <= expected
    assert not {"prepare", "train_idrec", "evaluate"} & expected
    assert project.stages_with_changed_code() == expected


def test_a_stage_on_an_outdated_fingerprint_refuses_and_names_the_command(project):
    project.edit("kitrec/core/domains.py", 'SETS = ("A", "B")', 'SETS = ("B", "A")')
    refused = project.run(sys.executable, "-m", "stages.check_params")
    assert refused.returncode == 1
    assert "python -m stages.lib.fingerprints" in refused.stderr + refused.stdout
