"""The page renders charts without a network, in a real headless browser if one is installed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kitrec.report.plots_page import write_plots_page

CHROMIUM = shutil.which("chromium")
CHART = {
    "data": {"values": [{"x": 1, "y": 2}, {"x": 2, "y": 5}]},
    "mark": "bar",
    "encoding": {"x": {"field": "x", "type": "ordinal"}, "y": {"field": "y", "type": "quantitative"}},
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The template, filled in as by DVC, which replaces these two fields only."""
    write_plots_page(tmp_path / "template.html")
    template = (tmp_path / "template.html").read_text()
    chart = f'<div id="chart"></div><script>vegaEmbed("#chart", {json.dumps(CHART)}, {{"renderer": "svg"}})</script>'
    (tmp_path / "page.html").write_text(template.replace("{plot_divs}", chart).replace("{refresh_tag}", ""))
    return tmp_path / "page.html"


def test_it_loads_nothing_from_a_server(page):
    markup = re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert "<title>kitrec plots</title>" in markup and "src=" not in markup and "href=" not in markup


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; `apt install chromium` to run it")
def test_a_browser_draws_the_chart_without_a_network(page, tmp_path):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [str(CHROMIUM), *flags, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert len(re.findall(r'aria-roledescription="bar"', done.stdout)) == 2
