"""The page is self-contained, escapes hostile text, may run its own scripts alone, and can be used by keyboard."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import polars as pl
import pytest

from kitrec.report import sections
from kitrec.report.first_screen import METRICS
from kitrec.report.page import COMPARISON, RUN, Example, Report, Section, page
from kitrec.report.rendering import script_json
from tests.report.test_explorer_users import HOSTILE as TITLE
from tests.report.test_explorer_users import explorer, made_user
from tests.report.test_first_screen import made_pairs, made_screen

NODE = shutil.which("node")
HOSTILE = '<script>alert(1)</script> & "quotes" {{ 7 * 7 }}' + TITLE
VOID = ("meta", "input", "br", "img")


@pytest.fixture(scope="module")
def text() -> str:
    rows = [["b", "0.5 (0.4–0.6)", "small"], ["a", "10", "large"], ["c", "0.25", "–"]]
    chart = {"data": {"values": [{"x": TITLE}]}, "mark": "bar", "encoding": {}}
    question = Section("RQ1", HOSTILE, question=HOSTILE, finding=HOSTILE, panels={HOSTILE: chart})
    table = Section("Numbers", HOSTILE, ["name", "value", "size"], rows, examples=[Example(HOSTILE, HOSTILE, HOSTILE)])
    screen = made_screen(made_pairs(0.01))
    facts, people = {"commit": HOSTILE}, explorer([made_user("U1", HOSTILE)])
    return page(Report("kitrec", facts, [question, table], screen, chart, HOSTILE, people))


class Tags(HTMLParser):
    """Elements of a page, with the texts of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)


@pytest.fixture(scope="module")
def tags(text) -> Tags:
    parsed = Tags()
    parsed.feed(text)
    return parsed


def test_it_is_well_formed_and_loads_nothing(tags):
    assert not tags.open
    assert not [a for _, a in tags.all if "src" in a or not (a.get("href") or "#").startswith("#")]
    assert not [name for _, a in tags.all for name in a if name.startswith("on")]


def test_no_text_of_a_run_becomes_an_element_or_a_script(text, tags):
    assert "img" not in [tag for tag, _ in tags.all] and "{{ 7 * 7 }}" in text
    run = [script for attributes, script in tags.scripts if "type" not in attributes]
    assert len(run) == 2 and "alert" not in run[1]
    for attributes, script in tags.scripts:
        if attributes.get("type") == "application/json":
            json.loads(script)
    assert json.loads(script_json({"a": f"{TITLE}<!--&"})) == {"a": f"{TITLE}<!--&"}


def test_the_policy_allows_the_two_scripts_of_the_page_alone(tags):
    policy = next(str(a["content"]) for tag, a in tags.all if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "'unsafe-inline'" not in policy.partition("style-src")[0]
    for attributes, script in tags.scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert (digest in policy) == ("type" not in attributes)


def test_ids_are_unique_and_labels_and_links_find_their_targets(tags):
    ids = [a["id"] for _, a in tags.all if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in tags.all:
        for name in ("aria-labelledby", "for", "data-csv-of"):
            assert attributes.get(name) is None or attributes[name] in ids
        assert (attributes.get("href") or "#").removeprefix("#") in [*ids, ""]


def test_switches_are_named_radio_buttons_with_one_choice_each(tags):
    radios = [a for tag, a in tags.all if tag == "input" and a.get("type") == "radio"]
    chosen = [a["name"] for a in radios if "checked" in a]
    assert sorted(chosen) == sorted({str(a["name"]) for a in radios}) == ["kind", "metric"]
    hidden = {a["name"]: a["value"] for tag, a in tags.all if tag == "input" and a.get("type") == "hidden"}
    assert hidden == {"set": "A", "domain": "all", "core": "all"}  # nothing to choose here


def test_tables_have_headers_to_sort_by_and_words_on_the_left(text):
    assert len(re.findall(r'<th scope="col" aria-sort="none"( class="text")?>', text)) == 4  # with the headline's first
    assert '<td class="text">small</td>' in text and "<td>0.5 (0.4–0.6)</td>" in text
    assert "color-scheme: light dark" in text and "width=device-width" in text and "@media print" in text


def test_the_answer_stands_on_the_page_without_scripts(text):
    assert "llm has the highest mean NDCG@10 of the learned methods" in text.partition('id="first-screen"')[0]


def test_texts_that_may_not_be_published_are_withheld():
    without = page(Report("kitrec", {}, [Section("Numbers", "")]))
    assert "Withheld" in without and 'id="people"' not in without and 'id="first-screen"' not in without


@pytest.mark.skipif(NODE is None, reason="no node here")
def test_the_script_of_the_page_is_valid_javascript(tags, tmp_path):
    script = next(s for a, s in tags.scripts if "type" not in a and "use strict" in s)
    (tmp_path / "page.js").write_text(script)
    subprocess.run([str(NODE), "--check", str(tmp_path / "page.js")], check=True)
    assert all(name.endswith(".js") for name in (*RUN.scripts, *COMPARISON.scripts))


def test_all_means_show_every_ranking_with_its_interval():
    row = {"stratum": "all", "n": 9, "users": 8, "mean": 0.5, "low": 0.4, "high": 0.6}
    means = pl.DataFrame(
        [
            {**row, "method": method, "kind": kind, "metric": metric}
            for method, kind in (("m", "scored"), ("m", "written"))
            for metric in METRICS
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
