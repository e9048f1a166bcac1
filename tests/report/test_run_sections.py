"""Sections on a run: stages in the order in which they ran, failures with examples, strata with n."""

import polars as pl

from kitrec.report.page import Example
from kitrec.report.palette import methods
from kitrec.report.run_sections import failure_section, strata_section, timeline, training
from tests.report.test_first_screen import ROLES, made_means

HOST = {"machine": "x86_64", "system": "Linux", "cpus": 2}


def made_cost(seconds: float, **more: object) -> dict[str, object]:
    return {"seconds": seconds, "cpu_seconds": 1.0, "peak_memory_mib": 9, "resumed": False, "host": HOST, **more}


def test_stages_follow_each_other_in_the_order_of_the_pipeline():
    ledgers = {
        "evaluate": made_cost(1.0),
        "train_x-b": made_cost(60.0, resumed=True),
        "train_x-a": made_cost(30.0, tokens_per_second=100),
        "prepare": made_cost(5.0, setA={"records_per_second": 12.34}),
    }
    section = timeline(ledgers, ["prepare", "train_x", "evaluate"])
    bars = section.chart["data"]["values"]
    assert [(bar["stage"], bar["start"], bar["end"]) for bar in bars] == [
        *(("prepare", 0, 5), ("train_x-a", 5, 35), ("train_x-b", 35, 95), ("evaluate", 95, 96))
    ]
    assert [bar["kind"] for bar in bars] == ["data", "training", "training", "evaluation"]
    assert [bar["label"] for bar in bars] == [
        "5.0 s · 12.3 records/s",
        "30.0 s · 100 tokens/s",
        "60.0 s · resumed",
        "1.0 s",
    ]
    assert "4 stages, 1.6 minutes" in section.text and "machine x86_64, cpus 2" in section.text


def test_curves_of_training_have_a_panel_each():
    curve = pl.DataFrame([{"step": k, "series": "training", "value": 1.0 / k} for k in (1, 2)])
    (section,) = training({"dualft": curve}, {"dualft": {"steps": 1200, "best_eval_loss": 0.25}})
    assert list(section.panels) == ["dualft"] and section.rows[0][:2] == ["dualft", "1,200"]
    assert training({}, {}) == []


def test_failures_come_with_their_shares_and_examples():
    shares = dict.fromkeys(("invented_id_share", "cut_share", "thought_cut_share", "shortened_prompt_share"), 0.125)
    answers = {"llm": {"setA": {"status": {"ok": 0.75, "no_json": 0.25}, **shares}}}
    example = Example("llm, no_json", "U1:movies", "{")
    (section,) = failure_section(answers, "setA", [example])
    assert section.rows == [["llm", "0.750", "0.250", *["0.125"] * 4]] and section.examples == [example]
    assert [row["share"] for row in section.chart["data"]["values"]] == [0.75, 0.25]
    assert failure_section({}, "setA", []) == []


def test_the_heat_map_shows_scored_rankings_with_n_and_the_table_all():
    means = made_means(members=(("all", "all"), ("core", "1"), ("domain_core", "music 10+")))
    few = means.with_columns(few=pl.col("member") == "music 10+")
    section = strata_section(methods(list(ROLES), ROLES), few, ["mrr", "hit@1"])
    values = section.chart["data"]["values"]
    assert len(values) == 2 * 4 * 2 and {value["n"] for value in values} == {60}
    assert {value["stratum"] for value in values} == {"core: 1", "domain core: music 10+"}
    assert len(section.rows) == 2 * 6 * 2  # strata, rankings of both kinds, metrics
    assert {row[0] for row in section.rows} == {"core: 1", "domain core: music 10+ (few)"}
