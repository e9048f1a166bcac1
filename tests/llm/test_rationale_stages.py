"""Rationales are scored on a GPU and evaluated on a CPU: raw likelihoods first, their perplexity in a later stage."""

import math
import shutil
from pathlib import Path

import pytest

from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.schemas.likelihoods import RATIONALES
from stages import evaluate_rationales
from stages.lib.fingerprints import reached_files
from tests.conftest import ROOT

GPU_STAGES = (
    *("train_dualft", "train_singleft", "train_preference", "infer_vllm", "score_candidates", "score_rationales"),
    *("probe_orders", "probe_precision"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the params, the code, and the rationales of two test sets."""
    for name in ("kitrec", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    scored = {"tokens": 2, "loglik_writer": -2 * math.log(4), "loglik_base": -2 * math.log(8)}
    missing = dict.fromkeys(scored)
    rows = [{"method": "m", "record_id": "a", **scored}, {"method": "m", "record_id": "b", **missing}]
    sets = {"setA": tables.from_rows(rows, RATIONALES), "setB": tables.from_rows(rows[1:], RATIONALES)}
    tables.write_all(sets, Path("data/rationales/m"), RATIONALES)
    return tmp_path


def test_the_metrics_of_both_sets_come_from_the_likelihoods_alone(project):
    evaluate_rationales.main("m")
    assert files.read_json(project / "metrics/rationales/m.json") == {
        "setA": {"n": 1, "coverage": 0.5, "tokens": 2, "writer": 4.0, "base": 8.0},
        "setB": {"n": 0, "coverage": 0.0, "tokens": 0, "writer": None, "base": None},
    }
    assert (project / "metrics/cost/evaluate_rationales-m.json").is_file()


@pytest.mark.usefixtures("project")
def test_a_method_without_scored_rationales_is_refused():
    with pytest.raises(InputError, match=r"evaluate_rationales-other needs data/rationales/other/setA\.parquet"):
        evaluate_rationales.main("other")


@pytest.mark.parametrize("stage", GPU_STAGES)
def test_a_gpu_stage_reaches_no_evaluation_and_no_report(stage):
    rooms = ("kitrec/evaluation/", "kitrec/report/")
    assert not [path for path in reached_files(f"stages/{stage}.py") if path.startswith(rooms)]
