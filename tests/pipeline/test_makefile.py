"""The two environments of the Makefile, by what make itself would run."""

import subprocess
from pathlib import Path

from tests.conftest import ROOT


def plan(target: str, environment: Path) -> str:
    command = ["make", "-n", target, f"VENV={environment}", "TORCH_WHEELS="]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_gpu_machine_gets_its_requirements_the_command_and_the_page_of_plots(tmp_path):
    steps = plan("setup-gpu", tmp_path / "venv")
    assert "-r requirements-gpu.txt" in steps and "--editable ." in steps and ".dvc/plots_page.html" in steps


def test_with_the_gpu_environment_no_target_makes_another(tmp_path):
    (tmp_path / ".complete-gpu").touch()
    for target in ("repro", "lint", "setup"):
        assert "pip install" not in plan(target, tmp_path)


def test_without_it_every_target_makes_that_of_a_cpu(tmp_path):
    assert "-r requirements.txt" in plan("repro", tmp_path / "venv")
