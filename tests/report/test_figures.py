"""Figures for papers: every chart as SVG and PNG, rendered without a network, for any method names."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from kitrec.report import charts, run_charts
from kitrec.report.chart_parts import Chart
from kitrec.report.cost_sections import quality_against_cost
from kitrec.report.palette import methods
from kitrec.report.rendering import PAPER_PPI, page_styles, write_figures
from kitrec.report.sections import hit_rates, set_comparison

METHODS = ["kitrec_full", '<b>&"x"</b>', "popularity"]
DRAWN = methods(METHODS, {**dict.fromkeys(METHODS[:2], "learned"), "popularity": "baseline"})
MEAN = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
BY_CORE = pl.DataFrame([{"method": m, "core": core, **MEAN} for m in METHODS for core in ("1", "5-9", "10+")])
CURVES = pl.DataFrame(
    [
        {
            "method": m,
            "kind": kind,
            "n": 9,
            "rank": rank,
            "hit_rate": rank / 4 if kind == "scored" else 0.25,
            "missing": 0.25,
        }
        for m in METHODS
        for kind in ("scored", "written")
        for rank in (1, 2, 3, 4)
    ]
)
SETS = pl.DataFrame(
    [
        {"set": which, "method": m, "kind": "scored", "metric": metric, **MEAN}
        for which in "AB"
        for m in METHODS
        for metric in ("hit@10", "ndcg@10")
    ]
)
COST = pl.DataFrame([{"method": m, "mean": 0.1 * k, "seconds_per_user": 10.0**k} for k, m in enumerate(METHODS)])
LEVELS = pl.DataFrame([{"method": m, "confidence": 9.0, "n": 4, "share": 1.0} for m in METHODS])
DIFFERENCES = pl.DataFrame(
    [
        {
            "group": f"{m} – x",
            "metric": "MRR",
            "difference": 0.1,
            "low": -0.1,
            "high": 0.2,
            "p": "p = 1",
            "verdict": "not distinguishable",
        }
        for m in METHODS
    ]
)
EFFECTS = pl.DataFrame(
    [
        {"method": m, "model": model, "answer": answer, **MEAN}
        for m, model, answer in (
            ("a", "base", "direct"),
            ("b", "base", "thinks first"),
            ("c", "fine-tuned", "direct"),
            ("d", "fine-tuned", "thinks first"),
        )
    ]
)
STAGES = pl.DataFrame(
    [{"stage": f"train_{m}", "kind": "training", "start": 0, "end": 9, "label": "9 s"} for m in METHODS]
)
STRATA = pl.DataFrame([{"stratum": "core: 1", "method": m, "metric": "mrr", "few": False, **MEAN} for m in METHODS])
STATUSES = pl.DataFrame([{"method": m, "status": "ok", "order": 0, "share": 1.0} for m in METHODS])
LOSSES = pl.DataFrame([{"step": k, "series": "training", "value": 1 / k} for k in (1, 2, 3)])
CHARTS: dict[str, Callable[[], Chart]] = {
    "history": lambda: charts.filled_history_chart(DRAWN, "Hit@10", BY_CORE),
    "ranks": lambda: charts.hit_rate_chart(DRAWN, CURVES.filter(kind="scored")),
    "sets": lambda: charts.sets_chart(DRAWN, SETS.filter(metric="hit@10"), "Hit@10"),
    "differences": lambda: charts.differences_chart(DIFFERENCES),
    "ablation": lambda: charts.ablation_chart(EFFECTS, "MRR"),
    "cost": lambda: run_charts.quality_cost_chart(DRAWN, COST, "NDCG@10"),
    "stated": lambda: run_charts.confidence_share_chart(DRAWN, LEVELS),
    "calibration": lambda: run_charts.calibration_chart(DRAWN, LEVELS.with_columns(mean=0.5, low=0.4, high=0.6)),
    "timeline": lambda: run_charts.timeline_chart(STAGES),
    "losses": lambda: run_charts.loss_chart(LOSSES, "step"),
    "failures": lambda: run_charts.failures_chart(STATUSES, ["ok", "no_json"]),
    "strata": lambda: run_charts.strata_chart(STRATA, ["core: 1"], ["mrr"]),
}
AXES = {
    "history": {"target interactions", "Hit@10", "5-9", *METHODS},
    "ranks": {"rank", "hit rate", *METHODS},
    "sets": {"Hit@10", "test set", "A", "B", "popularity (scored)"},
    "differences": {"difference of means", "popularity – x", "MRR", "not distinguishable"},
    "ablation": {"base", "fine-tuned", "thinks first", "direct", "MRR"},
    "cost": {"seconds of inference per user", "NDCG@10", *METHODS},
    "stated": {"stated confidence", "share of answers", *METHODS},
    "calibration": {"stated confidence", "first item right", *METHODS},
    "timeline": {"seconds since the start", "training", "train_popularity", "9 s"},
    "losses": {"step", "loss", "training"},
    "failures": {"share of answers", "no_json", *METHODS},
    "strata": {"core: 1", "0.50", *METHODS},
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "figures"
    write_figures({name: make() for name, make in CHARTS.items()}, folder)
    return folder


@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_a_complete_svg_with_axes_and_methods_and_loads_nothing(figures, name):
    text = (figures / f"{name}.svg").read_text()
    shown = {node.text for node in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")}
    assert AXES[name] <= shown
    assert not re.findall(r"(?:href|src)=|url\(http|<script", text)


@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_a_png_of_print_size_that_is_not_empty(figures, name):
    with Image.open(figures / f"{name}.png") as image:
        assert image.width >= 4 * PAPER_PPI and round(image.info["dpi"][0]) == PAPER_PPI
        colours = image.convert("RGB").getcolors(1 << 24)
    assert max(colours)[1] == (255, 255, 255) and len(colours) > 20


@pytest.mark.parametrize("name", ["history", "ranks", "sets", "cost", "stated", "calibration"])
def test_a_method_has_its_colour_in_every_figure(figures, name):
    text = (figures / f"{name}.svg").read_text()
    assert all(method.colour in text for method in DRAWN)


def test_files_of_removed_charts_are_deleted(tmp_path):
    folder = tmp_path / "figures"
    for names in (["ranks", "sets"], ["sets"]):
        write_figures({name: CHARTS[name]() for name in names}, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["sets.png", "sets.svg"]


def test_sections_have_a_panel_for_each_kind_of_ranking_and_metric():
    ranks, sets = hit_rates(DRAWN, CURVES), set_comparison(DRAWN, SETS)
    assert "popularity 0.250" in ranks.text
    assert list(ranks.charts) == ["hit_rate_by_rank_scored_rankings"]  # written lists of one item have no curve
    assert [label for label, _ in sets.charts.values()] == ["Hit@10", "NDCG@10"]


def test_a_section_without_timed_methods_says_why_there_is_no_chart():
    means = pl.DataFrame(
        [{"method": m, "stratum": "all", "metric": "ndcg@10", "kind": "scored", "mean": 0.1} for m in METHODS]
    )
    assert quality_against_cost(DRAWN, means, {}).charts == {}
    timed = quality_against_cost(DRAWN, means, {"popularity": 0.5, "kitrec_full": 1.0})
    assert len(timed.charts) == 1 and "at 1 s per user: 2 times the 0.5 s of popularity" in timed.finding


def test_charts_on_the_page_have_a_transparent_background():
    styles = page_styles()
    assert styles["page"]["background"] == "transparent" and styles["page"]["axis"]["labelColor"] == "var(--ink)"
    assert styles["file"]["background"] == "white"
