import re
import shutil
import sys

import pytest
import yaml

from kitrec.cli import doctor
from kitrec.config import profiles
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


def test_the_disk_is_that_of_the_chosen_profile(project, monkeypatch):
    """Five free GiB are enough for the tiny base; a base of 14B alone has 28 GiB."""
    (project / "conf").symlink_to(ROOT / "conf")
    usage = shutil.disk_usage(project)._replace(free=5 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    def disk():
        return next(check for check in doctor.run_checks(project / "params.yaml") if check.name == "free disk")

    assert disk().ok, disk()
    profiles.use(project / "params.yaml", ["dataset=kitrec_hub", "llm=qwen3_14b"])
    check = disk()
    assert not check.ok and "GiB more" in check.way_out
    needed = float(re.search(r"a run needs (\d+)", check.result)[1])
    assert 40 < needed < 100 and "base 27." in check.result and "adapters" in check.result, check.result


def test_doctor_tells_the_environment_and_which_one_a_gpu_needs(monkeypatch, tmp_path):
    check = doctor.environment()
    assert check.ok and sys.prefix in check.result and "CPU requirements" in check.result
    assert "no GPU visible" in check.result and ("container" in check.result or "machine itself" in check.result)
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(doctor, "GPU_DEVICE", tmp_path / "nvidia0")
    assert not doctor.environment().ok and "make setup-gpu" in doctor.environment().way_out


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
