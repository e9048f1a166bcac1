"""Rationales are scored on a GPU and evaluated on a CPU: raw likelihoods first, their perplexity in a later stage."""

import math
import shutil
from pathlib import Path

import polars as pl
import pytest

from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.schemas.likelihoods import RATIONALES
from kitrec.schemas.records import RECORDS
from stages import evaluate_rationales
from stages.lib.fingerprints import reached_files
from tests.conftest import ROOT
from tests.evaluation.made_records import made_records

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
    records = made_records([["X"], ["Y"]], ["X", "Y"]).with_columns(record_id=pl.Series(["a", "b"]))
    for which in ("A", "B"):
        tables.write(records, Path(f"data/records/set{which}/test.parquet"), RECORDS)
    return tmp_path


def test_the_metrics_of_both_sets_come_from_the_likelihoods_alone(project):
    evaluate_rationales.main("m")
    metrics = files.read_json(project / "metrics/rationales/m.json")
    keys = ("n", "coverage", "tokens", "writer", "base")
    assert [metrics["setA"][key] for key in keys] == [1, 0.5, 2, 4.0, 8.0]
    assert [metrics["setB"][key] for key in keys] == [0, 0.0, 0, None, None]
    assert metrics["setA"]["domain"]["movies"]["writer"] == 4.0 and set(metrics["setA"]["core"]) == {"1"}
    assert (project / "metrics/cost/evaluate_rationales-m.json").is_file()


@pytest.mark.usefixtures("project")
def test_a_method_without_scored_rationales_is_refused():
    with pytest.raises(InputError, match=r"evaluate_rationales-other needs data/rationales/other/setA\.parquet"):
        evaluate_rationales.main("other")


@pytest.mark.parametrize("stage", GPU_STAGES)
def test_a_gpu_stage_reaches_no_evaluation_and_no_report(stage):
    rooms = ("kitrec/evaluation/", "kitrec/report/")
    assert not [path for path in reached_files(f"stages/{stage}.py") if path.startswith(rooms)]
