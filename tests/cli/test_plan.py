"""`kitrec plan`: measured speeds are those of the result files, unmeasured ones say so, prices follow the hours."""

import json
import shutil
from typing import get_args

import pytest
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.cli.measured_rates import CARDS, CPU, measured_card, rate_for
from kitrec.cli.plan import CardName, planned_stages
from kitrec.config import profiles
from kitrec.config.sections import validate_params
from tests.conftest import ROOT


def details(name: str) -> dict[str, list[dict]]:
    return json.loads((ROOT / f"bench/results/{name}.json").read_text())["details"]


def seconds_of(stage: str) -> float:
    (row,) = (row for row in details("pipeline")["Time and memory per stage"] if row["stage"] == stage)
    return row["seconds"]


@pytest.fixture
def sections(tmp_path):
    def read(*choices: str):
        shutil.copy(ROOT / "params.yaml", tmp_path)
        if choices:
            profiles.use(tmp_path / "params.yaml", list(choices))
        return validate_params(tmp_path / "params.yaml")

    return read


def test_the_speeds_of_the_cpu_are_those_of_the_result_files():
    start, rates = seconds_of("parse_answers-base_direct"), {unit: rate.per_second for unit, rate in CPU.rates.items()}
    fine_tuning = [
        f"train_{family}-{target}-full" for family in ("dualft", "singleft") for target in ("movies", "music")
    ]
    writing = details("infer")["Writing"][0]
    tree = details("infer")["Scoring 100 candidates"][0]["value"]
    runs = {(row["model"], row["repeat"]): row for row in details("seqrec")["Runs"] if row["side"] == "kitrec"}
    prepared = details("prepare")["Runs"][0]
    assert rates == pytest.approx(
        {
            "trained": 1_903_058 / sum(map(seconds_of, fine_tuning)),
            "written": writing["tokens"] / writing["seconds"],
            "scored": writing["records_per_second"] / tree,
            "made": 1900 / (seconds_of("prepare") - start),
            "lines": 60_010 / 44.6,
            "reviews": prepared["reviews"] / prepared["seconds"],
            "sasrec": sum(runs["SASRec", k]["targets_per_second"] for k in (0, 1)) / 2,
            "bert4rec": sum(runs["BERT4Rec", k]["targets_per_second"] for k in (0, 1)) / 2,
        },
        rel=0.01,
    )
    tokens = 33_742  # written by base_direct
    engine = seconds_of("infer_vllm-base_direct") - tokens / rates["written"]
    assert CPU.starts == pytest.approx({**dict.fromkeys(CPU.starts, start), "infer_vllm": engine}, rel=0.02)


def test_a_published_adapter_takes_its_forty_hours_on_an_a100_and_its_answers_were_never_timed(sections):
    stages = {
        stage.name: stage for stage in planned_stages(sections("dataset=kitrec_hub", "llm=qwen3_14b"), CARDS["a100"])
    }
    assert stages["train_dualft-music-full"].seconds / 3600 == pytest.approx(40, rel=0.08)  # 14B is 14.8 in truth
    answers = stages["infer_vllm-kitrec_full"]
    assert answers.seconds is None and answers.unknown == "not measured: tokens read, tokens written"


def test_nothing_is_invented_for_a_card_that_nobody_measured(sections):
    for stage in planned_stages(sections("dataset=kitrec_hub", "llm=qwen3_14b"), CARDS["h100"]):
        on_the_host = stage.name.startswith(("prepare", "parse_answers", "rank_references"))
        assert (stage.seconds is not None) is on_the_host and (on_the_host or stage.unknown), stage


def test_a_benchmark_of_the_card_is_read_where_it_is_there(tmp_path):
    results = tmp_path / "train_gpu.json"
    rows = [{"length": 5120, "tokens_per_second": 4100.0}, {"length": 8192, "tokens_per_second": 3900.0}]
    results.write_text(json.dumps({"details": {"Qwen3-14B's shape on NVIDIA H100 80GB HBM3": rows}}))
    assert measured_card("h100", results).rates["trained"].per_second == 4100.0
    assert measured_card("a100", results) == CARDS["a100"]
    assert "trained" not in measured_card("h100", tmp_path / "none.json").rates


def test_speeds_go_by_the_parameters_of_a_similar_base_and_of_no_other():
    card, parameters = CARDS["a100"], CARDS["a100"].parameters
    half = rate_for(card, "trained", parameters / 2)
    assert half is not None and half.per_second == pytest.approx(2250) and "scaled by 0.5 x" in half.source
    assert rate_for(card, "trained", parameters / 100) is None


def test_the_command_knows_all_cards():
    assert set(get_args(CardName)) == set(CARDS)


def test_the_command_prints_prices_of_a_number_or_of_a_table(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "base/tiny-qwen3", tmp_path / "base/tiny-qwen3")
    (tmp_path / "prices.yaml").write_text("cpu: 36.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    total = sum(stage.seconds for stage in planned_stages(validate_params(), CPU))
    for price in ("36", "prices.yaml"):
        printed = CliRunner().invoke(app, ["plan", "cpu", "--price-per-hour", price], catch_exceptions=False).output
        assert f"a price of {total / 100:.2f}: 16 of 16 stages" in printed
    assert "price" not in CliRunner().invoke(app, ["plan", "cpu"], catch_exceptions=False).output
    missing = CliRunner().invoke(app, ["plan", "h100", "--price-per-hour", "prices.yaml"])
    assert "no price of h100" in str(missing.exception)
