import pytest
import torch

from kitrec.cli import doctor_gpu
from tests.conftest import ROOT


def test_without_a_gpu_it_says_so_and_what_to_do():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (found,) = doctor_gpu.examine_gpu(ROOT / "params.yaml")
    assert not found.ok and found.found.startswith("none") and "rent one" in found.way_out


def test_the_nf4_layer_is_held_against_its_own_weights(monkeypatch):
    assert doctor_gpu.nf4(torch.device("cpu")).ok
    monkeypatch.setattr(doctor_gpu, "dequantize_4bit", lambda *_: torch.zeros(512, 512))
    assert not doctor_gpu.nf4(torch.device("cpu")).ok


def test_the_memory_plan_of_the_shipped_params_fits_here_and_of_an_unpinned_base_says_why(tmp_path):
    assert doctor_gpu.fits(ROOT / "params.yaml").ok
    text = (ROOT / "params.yaml").read_text().replace("base/tiny-qwen3", "Qwen/Qwen3-14B")
    (tmp_path / "params.yaml").write_text(text)
    found = doctor_gpu.fits(tmp_path / "params.yaml")
    assert not found.ok and "revision" in found.way_out
