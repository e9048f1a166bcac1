import shutil
from pathlib import Path

import pytest
import yaml

from kitrec.cli import doctor

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Params and base of this checkout, in a folder of their own."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "base", tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_whole_project_passes(project):
    assert [finding for finding in doctor.examine(project / "params.yaml") if not finding.ok] == []


def test_a_wrong_param_and_a_lost_base_are_found_with_the_way_out(project):
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("patience:", "patients:"))
    (finding,) = (found for found in doctor.examine(project / "params.yaml") if not found.ok)
    assert finding.name == "params" and "did you mean `patience`?" in finding.way_out


def test_a_folder_without_weights_is_no_base(project):
    shutil.rmtree(project / "base/tiny-qwen3")
    (project / "base/tiny-qwen3").mkdir()
    (finding,) = (found for found in doctor.examine(project / "params.yaml") if not found.ok)
    assert "safetensors" in finding.way_out


def test_a_base_in_a_folder_needs_no_hub_to_be_pinned(project):
    before = yaml.safe_load((project / "params.yaml").read_text())
    assert "pinned by its content" in doctor.pin_base(project / "params.yaml")
    assert yaml.safe_load((project / "params.yaml").read_text()) == before
