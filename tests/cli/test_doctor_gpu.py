import pytest
import torch

from kitrec.cli import doctor_gpu
from tests.conftest import ROOT


def test_a_missing_gpu_is_reported_with_the_way_out():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (check,) = doctor_gpu.run_gpu_checks(ROOT / "params.yaml")
    assert not check.ok and check.result.startswith("none") and "rent one" in check.way_out


def test_the_nf4_layer_is_compared_with_its_dequantised_weights(monkeypatch):
    assert doctor_gpu.nf4(torch.device("cpu")).ok
    monkeypatch.setattr(doctor_gpu, "dequantize_4bit", lambda *_: torch.zeros(512, 512))
    assert not doctor_gpu.nf4(torch.device("cpu")).ok


def test_the_memory_plan_of_the_shipped_params_fits_here_and_of_an_unpinned_base_says_why(tmp_path):
    assert doctor_gpu.memory_plan(ROOT / "params.yaml").ok
    text = (ROOT / "params.yaml").read_text().replace("base/tiny-qwen3", "Qwen/Qwen3-14B")
    (tmp_path / "params.yaml").write_text(text)
    check = doctor_gpu.memory_plan(tmp_path / "params.yaml")
    assert not check.ok and "revision" in check.way_out
