import shutil

import pytest
import yaml

from kitrec.cli import doctor
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Params and base of this checkout, in a folder of their own."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "base", tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_complete_project_passes(project):
    assert [check for check in doctor.run_checks(project / "params.yaml") if not check.ok] == []


def test_an_unknown_param_is_reported_with_the_way_out(project):
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("patience:", "patients:"))
    (check,) = (check for check in doctor.run_checks(project / "params.yaml") if not check.ok)
    assert check.name == "params" and "did you mean `early_stopping_patience`?" in check.way_out


def test_a_folder_without_weights_is_no_base(project):
    shutil.rmtree(project / "base/tiny-qwen3")
    (project / "base/tiny-qwen3").mkdir()
    (check,) = (check for check in doctor.run_checks(project / "params.yaml") if not check.ok)
    assert "safetensors" in check.way_out


def test_a_base_in_a_folder_needs_no_hub_to_be_pinned(project):
    before = yaml.safe_load((project / "params.yaml").read_text())
    assert "pinned by its content" in doctor.pin_base(project / "params.yaml")
    assert yaml.safe_load((project / "params.yaml").read_text()) == before
