"""Figures for papers: every chart as SVG and PNG, made without a network, whatever methods are called."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from kitrec.report import charts
from kitrec.report.page import Report, page
from kitrec.report.rendering import PAPER_PPI, on_page, write_figures
from kitrec.report.sections import both_sets, confidence, quality_against_cost, ranks

METHODS = ["kitrec_full", '<b>&"x"</b>', "popularity"]
MEAN = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
CELLS = pl.DataFrame(
    [
        {"method": m, "kind": "scored", "stratum": "domain_core", "member": f"{t} {core}", "metric": "hit@10", **MEAN}
        for m in METHODS
        for t in ("movies", "music")
        for core in ("1", "5-9", "10+")
    ]
)
RANKS = pl.DataFrame(
    [
        {"method": m, "kind": kind, "n": 9, "rank": rank, "within": rank / 4, "missing": 0.25}
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
CALIBRATION = pl.DataFrame([{"method": m, "confidence": 9.0, "n": 4, "right_share": 0.5} for m in METHODS])
CHARTS: dict[str, Callable[[], charts.Chart]] = {
    "by_history": lambda: charts.by_core(CELLS, "hit@10"),
    "ranks": lambda: charts.within_rank(RANKS),
    "sets": lambda: charts.on_both_sets(SETS),
    "cost": lambda: charts.cost_and_quality(COST, "NDCG@10"),
    "confidence": lambda: charts.right_by_confidence(CALIBRATION),
}
AXES = {
    "by_history": {"target interactions", "hit@10", "movies", "music", "5-9"},
    "ranks": {"rank", "truths within the rank", "scored", "written"},
    "sets": {"mean", "test set", "A", "B", "hit@10", "ndcg@10", "popularity (scored)"},
    "cost": {"seconds per user", "NDCG@10"},
    "confidence": {"stated confidence", "share that is right", "answers"},
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "figures"
    write_figures({name: make() for name, make in CHARTS.items()}, folder)
    return folder


@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_a_whole_svg_with_its_axes_and_methods_and_asks_no_server(figures, name):
    text = (figures / f"{name}.svg").read_text()
    shown = {node.text for node in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")}
    assert AXES[name] <= shown
    assert {m if name != "sets" else f"{m} (scored)" for m in METHODS} <= shown
    assert not re.findall(r"(?:href|src)=|url\(http|<script", text)


@pytest.mark.parametrize("name", CHARTS)
def test_a_figure_is_a_png_of_print_size_in_which_something_is_drawn(figures, name):
    with Image.open(figures / f"{name}.png") as image:
        assert image.width >= 4 * PAPER_PPI and round(image.info["dpi"][0]) == PAPER_PPI
        colours = image.convert("RGB").getcolors(1 << 24)
    assert max(colours)[1] == (255, 255, 255) and len(colours) > 50


def test_a_chart_that_is_gone_leaves_no_file(tmp_path):
    folder = tmp_path / "figures"
    for names in (["ranks", "sets"], ["sets"]):
        write_figures({name: CHARTS[name]() for name in names}, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["sets.png", "sets.svg"]


def test_the_page_draws_every_chart_and_sections_without_data_have_none():
    cells = CELLS.with_columns(stratum=pl.lit("all"), metric=pl.lit("ndcg@10")).unique("method", maintain_order=True)
    shown = [ranks(RANKS), both_sets(SETS), confidence(CALIBRATION), quality_against_cost(cells, {"popularity": 0.5})]
    assert page(Report("kitrec", {}, shown, [])).count("<svg") == 4
    assert "popularity 0.250" in shown[0].text and shown[0].name == "ranks_of_the_truth"
    without = [confidence(CALIBRATION.head(0)), quality_against_cost(cells, {})]
    assert page(Report("kitrec", {}, without, [])).count("<svg") == 0


def test_on_the_page_a_chart_has_no_ground_of_its_own():
    assert "white" not in on_page(CHARTS["ranks"]())
