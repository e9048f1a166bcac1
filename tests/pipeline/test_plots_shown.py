"""`dvc plots show` and `dvc plots diff` with the committed plots: which panels there are, their order and colours."""

import json
import re
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML

from bench.clone import ENVIRONMENT, make_clone
from kitrec.cli.report_views import listed_methods
from kitrec.report.plots_page import write_plots_page

CHROMIUM = shutil.which("chromium")
BROWSER = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PANELS = ["result", "cold-start", "ranks", "calibration", "training", "recommenders"]
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; `apt install chromium` to run it")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The pipeline with its committed plots, and an experiment before it whose methods have other means."""
    folder = tmp_path_factory.mktemp("project")
    make_clone(folder, [])
    with chdir(folder):
        write_plots_page(Path(".dvc/plots_page.html"), listed_methods())
    committed = (folder / "plots/sets.csv").read_bytes()
    lower = pl.read_csv(committed).with_columns(pl.col("mean", "low", "high") / 2).write_csv()
    for name, table in (("before", lower.encode()), ("after", committed)):
        (folder / "plots/sets.csv").write_bytes(table)
        run(folder, "git", "commit", "-qam", name, "--allow-empty")
        run(folder, "git", "tag", name)
    return folder


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def plotted(page: Path) -> list[tuple[str, list[dict[str, str]]]]:
    """Panel and rows of all charts that DVC wrote into its page."""
    specs = [json.loads(line) for line in re.findall(r"var spec = (.*);\n", page.read_text(encoding="utf-8"))]
    return [(spec["usermeta"]["panel"], spec["data"]["values"]) for spec in specs]


def sections(page: Path, tmp_path: Path) -> dict[str, str]:
    """Panel -> its markup, in the order of the page, as a browser has drawn it."""
    flags = [*BROWSER, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=30000"]
    done = subprocess.run(
        [str(CHROMIUM), *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    drawn = re.findall(r'<section id="([^"]+)">(.*?)</section>', done.stdout, re.DOTALL)
    assert len(drawn) == len(dict(drawn))
    return dict(drawn)


@pytest.fixture(scope="module")
def shown(project) -> Path:
    said = run(project, "dvc", "plots", "show", "-o", "shown")
    assert "failed" not in said.lower() and "could not" not in said.lower(), said
    return project / "shown/index.html"


@pytest.fixture(scope="module")
def compared(project) -> Path:
    run(project, "dvc", "plots", "diff", "before", "after", "-o", "compared")
    return project / "compared/index.html"


def test_every_plot_has_rows_and_the_panels_come_in_the_order_of_their_questions(shown):
    plots = plotted(shown)
    assert list(dict.fromkeys(panel for panel, _ in plots)) == PANELS
    assert all(rows for _, rows in plots)
    assert [panel for panel, _ in plots].count("training") == 8  # four adapters, two curves each: one panel on the page


def test_a_stage_that_is_off_has_no_panel(project):
    before = (project / "params.yaml").read_text()
    params = YAML(typ="safe").load(before)
    params["idrec"]["train"] = []
    with (project / "params.yaml").open("w") as stream:
        YAML(typ="safe").dump(params, stream)
    try:
        run(project, "dvc", "plots", "show", "-o", "off")
    finally:
        (project / "params.yaml").write_text(before)
    assert list(dict.fromkeys(panel for panel, _ in plotted(project / "off/index.html"))) == PANELS[:-1]


@needs_browser
def test_the_page_has_one_chart_per_panel_with_marks_in_the_colours_of_the_report(shown, tmp_path):
    drawn = sections(shown, tmp_path)
    assert list(drawn) == PANELS
    for panel, markup in drawn.items():
        assert markup.count("<svg") == 1 and "<h2>" in markup, panel
        assert re.search(r'aria-roledescription="(point|bar|line mark)"', markup), panel
    for colour in ("#0078c8", "#d55e00", "#009e73", "#7d7d7d"):  # kitrec_full, base_direct, sasrec, popularity
        assert colour in drawn["result"] and colour in drawn["ranks"]
    assert "#009e73" in drawn["recommenders"] and "#0078c8" not in drawn["recommenders"]
    assert ">workspace<" not in drawn["result"]  # one revision needs no legend


@needs_browser
def test_a_plot_without_data_leaves_no_empty_panel(shown, tmp_path):
    page = tmp_path / "index.html"
    empty = "<div id = \"none\"><script>var spec = {};\nvegaEmbed('#none', spec);</script></div>"
    page.write_text(shown.read_text(encoding="utf-8").replace("<div hidden>", f"<div hidden>{empty}"), encoding="utf-8")
    assert list(sections(page, tmp_path)) == PANELS


@needs_browser
def test_two_revisions_can_be_told_apart_in_every_panel(compared, tmp_path):
    drawn = sections(compared, tmp_path)
    assert list(drawn) == PANELS
    for panel, markup in drawn.items():
        texts = " ".join(re.findall(r"<text[^>]*>(.*?)</text>", markup))
        assert "before" in texts and "after" in texts, panel
    assert 'stroke="#7d7d7d"' in drawn["training"]  # dashes of the legend, which take no colour from a run
    rankings = 9  # seven methods, two of which also wrote answers
    assert len(re.findall('aria-roledescription="point"', drawn["result"])) == rankings * 2 * 2  # sets, revisions
