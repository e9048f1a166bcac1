"""The tutorial and the quick starts, run as they are printed in a fresh copy of the project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.clone import ENVIRONMENT, make_clone
from kitrec.report.plots_page import write_plots_page
from tests.conftest import ROOT
from tests.documents.test_printed_commands import commands

PAGES = {name: ROOT / "docs" / f"{name}.md" for name in ("tutorial", "quickstart_ja", "quickstart_ko")}
SET_UP = ("make setup", ". .venv/bin/activate", "git clone", "cd ")  # this environment is the one that it makes
WHOLE = ("make repro",)  # the committed run, by test_end_to_end.py in the smoke size


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    make_clone(tmp_path, [])
    write_plots_page(tmp_path / ".dvc/plots_page.html")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def steps(page: Path) -> list[str]:
    """The commands of a page that are run here."""
    return [command for command in commands(page) if not command.startswith((*SET_UP, *WHOLE))]


def typed(command: str) -> str:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path.cwd()), "COLUMNS": "80"}
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
    return done.stdout


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_pages_have_steps():
    assert len(steps(PAGES["tutorial"])) >= 8 and len(python_blocks(PAGES["tutorial"])) == 1
    assert steps(PAGES["quickstart_ja"]) == steps(PAGES["quickstart_ko"]) and len(steps(PAGES["quickstart_ja"])) >= 4


@pytest.mark.slow
@pytest.mark.usefixtures("clone")
def test_the_tutorial_from_top_to_bottom():
    page = PAGES["tutorial"]
    *before, reset = steps(page)
    assert reset == "kitrec profile reset"
    output = {command: typed(command) for command in before}
    assert "kitrec_full" in output["kitrec show"] and Path("report/index.html").exists()
    assert "data.candidate_set" in Path("report/comparison.html").read_text()
    assert "kitrec_full.scored.hit@1" in next(
        out for command, out in output.items() if command.startswith("dvc metrics")
    )
    assert "random-negatives" in next(out for command, out in output.items() if command.startswith("dvc exp show"))
    (block,) = python_blocks(page)
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "p_permutation" in done.stdout, done.stderr[-2000:]
    typed(reset)
    assert Path("params.yaml").read_text() == (ROOT / "kitrec/config/default_params.yaml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("clone")
def test_the_quick_start_from_top_to_bottom():
    """The Japanese one; test_pages_have_steps says that the Korean has the same commands."""
    for command in steps(PAGES["quickstart_ja"]):
        typed(command)
    assert Path("report/index.html").exists()
