"""notebooks/first_look.ipynb: committed without outputs; its cells run on finished runs, one after the other."""

import json
import shutil
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from kitrec.core import params
from tests.conftest import ROOT
from tests.test_public_names import write_project

NOTEBOOK = ROOT / "notebooks/first_look.ipynb"


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run_cells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run all cells in one namespace, in a folder below the project's."""
    matplotlib.use("Agg")
    (folder / "notebooks").mkdir(exist_ok=True)
    monkeypatch.chdir(folder / "notebooks")
    names: dict[str, Any] = {}
    for number, cell in enumerate(code_cells()):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    return names


def test_the_notebook_has_no_outputs():
    """Figures of a run belong to the run: README.md and docs/results.md have the committed ones."""
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells())


def test_its_cells_run_on_a_small_world(tmp_path, dataset, world, monkeypatch):
    write_project(tmp_path, dataset, world)
    names = run_cells(tmp_path, monkeypatch)
    assert names["user"].history.height and len(names["figure"].axes) == 2
    assert names["curve"].columns[-3:] == ["mean", "low", "high"]


@pytest.mark.slow
def test_its_cells_run_on_the_run_that_lies_here(tmp_path, monkeypatch):
    if not (ROOT / "data/scores").is_dir():
        pytest.skip("no run lies here: `make repro` makes one")
    for name in ("data", "metrics"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / params.FILE, tmp_path)
    names = run_cells(tmp_path, monkeypatch)
    assert {"kitrec_full", "base_direct"} <= set(names["run"].methods)
