"""Figures for papers: every chart as SVG and PNG, rendered without a network, for any method names."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from kitrec.report import charts
from kitrec.report.cost_sections import quality_against_cost
from kitrec.report.page import Report, page
from kitrec.report.rendering import PAPER_PPI, render_for_page, write_figures
from kitrec.report.sections import calibration, hit_rates, set_comparison

METHODS = ["kitrec_full", '<b>&"x"</b>', "popularity"]
MEAN = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
STRATA_MEANS = pl.DataFrame(
    [
        {"method": m, "kind": "scored", "stratum": "domain_core", "member": f"{t} {core}", "metric": "hit@10", **MEAN}
        for m in METHODS
        for t in ("movies", "music")
        for core in ("1", "5-9", "10+")
    ]
)
CURVES = pl.DataFrame(
    [
        {"method": m, "kind": kind, "n": 9, "rank": rank, "hit_rate": rank / 4, "missing": 0.25}
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
CALIBRATION = pl.DataFrame([{"method": m, "confidence": 9.0, "n": 4, "accuracy": 0.5} for m in METHODS])
CHARTS: dict[str, Callable[[], charts.Chart]] = {
    "by_history": lambda: charts.core_chart(STRATA_MEANS, "hit@10"),
    "ranks": lambda: charts.hit_rate_chart(CURVES),
    "sets": lambda: charts.sets_chart(SETS),
    "cost": lambda: charts.quality_cost_chart(COST, "NDCG@10"),
    "confidence": lambda: charts.calibration_chart(CALIBRATION),
}
AXES = {
    "by_history": {"target interactions", "hit@10", "movies", "music", "5-9"},
    "ranks": {"rank", "hit rate", "scored", "written"},
    "sets": {"mean", "test set", "A", "B", "hit@10", "ndcg@10", "popularity (scored)"},
    "cost": {"seconds per user", "NDCG@10"},
    "confidence": {"stated confidence", "accuracy", "answers"},
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
    assert {m if name != "sets" else f"{m} (scored)" for m in METHODS} <= shown
    assert not re.findall(r"(?:href|src)=|url\(http|<script", text)


@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_a_png_of_print_size_that_is_not_empty(figures, name):
    with Image.open(figures / f"{name}.png") as image:
        assert image.width >= 4 * PAPER_PPI and round(image.info["dpi"][0]) == PAPER_PPI
        colours = image.convert("RGB").getcolors(1 << 24)
    assert max(colours)[1] == (255, 255, 255) and len(colours) > 50


def test_files_of_removed_charts_are_deleted(tmp_path):
    folder = tmp_path / "figures"
    for names in (["ranks", "sets"], ["sets"]):
        write_figures({name: CHARTS[name]() for name in names}, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["sets.png", "sets.svg"]


def test_the_page_renders_every_chart_and_sections_without_data_have_none():
    means = STRATA_MEANS.with_columns(stratum=pl.lit("all"), metric=pl.lit("ndcg@10")).unique(
        "method", maintain_order=True
    )
    shown = [
        hit_rates(CURVES),
        set_comparison(SETS),
        calibration(CALIBRATION),
        quality_against_cost(means, {"popularity": 0.5}),
    ]
    assert page(Report("kitrec", {}, shown, [])).count("<svg") == 4
    assert "popularity 0.250" in shown[0].text and shown[0].name == "hit_rate_by_rank"
    without = [calibration(CALIBRATION.head(0)), quality_against_cost(means, {})]
    assert page(Report("kitrec", {}, without, [])).count("<svg") == 0


def test_charts_on_the_page_have_a_transparent_background():
    assert "white" not in render_for_page(CHARTS["ranks"]())
