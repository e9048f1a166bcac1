"""The page is self-contained, escapes hostile text, sorts its tables, and is accessible by keyboard."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from kitrec.report import sections
from kitrec.report.page import Example, Report, Section, page

CHROMIUM = shutil.which("chromium")
HOSTILE = '<script>alert(1)</script> & "quotes" {{ 7 * 7 }}'


@pytest.fixture
def text() -> str:
    table = Section("Numbers", HOSTILE, ["name", "value"], [["b", "0.5 (0.4–0.6)"], ["a", "10"], ["c", "0.25"]])
    example = Example(f"Correct: {HOSTILE}", [HOSTILE], [HOSTILE], HOSTILE, HOSTILE)
    return page(Report("kitrec", {"commit": HOSTILE}, [table], [example]))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_well_formed_loads_nothing_and_executes_no_text(text):
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert [tag for tag, _ in tags.all].count("script") == 1
    assert not [a for _, a in tags.all if "src" in a or (a.get("href") or "#").startswith("#") is False]
    assert "{{ 7 * 7 }}" in text and "<script>alert" not in text


def test_tables_have_headers_to_sort_by_and_can_be_scrolled_by_keyboard(text):
    assert text.count('<button type="button">') == 2 and 'scope="col"' in text and 'tabindex="0"' in text
    assert "color-scheme: light dark" in text and "width=device-width" in text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; `apt install chromium` to run it")
def test_a_browser_sorts_by_number_and_by_name(text, tmp_path: Path):
    click = "<script>document.querySelectorAll('th button')[{}].click()</script></body>"
    for column, order in ((1, "abc"), (0, "cba")):
        path = tmp_path / f"page{column}.html"
        path.write_text(text.replace("</body>", click.format(column)))
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
        command = [str(CHROMIUM), *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        assert "".join(re.findall(r"<tr><td>(\w)</td>", dom)) == order


def test_the_headline_shows_every_ranking_with_its_interval():
    row = {"stratum": "all", "n": 9, "users": 8, "mean": 0.5, "low": 0.4, "high": 0.6}
    means = pl.DataFrame(
        [
            {**row, "method": method, "kind": kind, "metric": metric}
            for method, kind in (("m", "scored"), ("m", "written"))
            for metric in sections.SHOWN
        ]
    )
    answers = {name: {"setA": {"answer_items": items}} for name, items in (("m", 1), ("base", 10))}
    headline = sections.headline(means, answers, "setA")
    assert "different numbers of items compare in Hit@1 alone" in headline.text
    assert [row[0] for row in headline.rows] == [
        "m (scored)",
        "m (written, 1 item)",
    ] and "9 records of 8 users" in headline.text
    assert all(cell == "0.500 (0.400–0.600)" for row in headline.rows for cell in row[1:])
