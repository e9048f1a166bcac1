"""The benchmark pages show what the result files hold, and nothing else."""

import json

import pytest

from bench.render import AREAS, FOLDER, PAGE, RESULTS, render
from tests.conftest import ROOT

MADE_CLAIM = {
    "claim": "users per second",
    "value": 3.5,
    "unit": "x",
    "bar": "≥ 4 x",
    "holds": False,
    "peer": "a peer",
    "repeats": 2,
    "spread": "3 to 4",
    "command": "make bench-made",
    "date": "2026-01-02",
}


@pytest.fixture
def made_pages(tmp_path):
    """Render fabricated claims of one benchmark; return the page of claims and the folder of details."""

    def rendered(*claims, name="seqrec", details=None):
        document = {"name": name, "machine": "a machine", "claims": list(claims), "details": details or {}}
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / f"results/{name}.json").write_text(json.dumps(document))
        render(tmp_path / "results", tmp_path / "benchmarks.md", tmp_path / "benchmarks")
        return (tmp_path / "benchmarks.md").read_text(), (tmp_path / f"benchmarks/{name}.md").read_text()

    return rendered


def test_the_committed_pages_are_rendered_from_the_committed_results(tmp_path):
    render(ROOT / RESULTS, tmp_path / "benchmarks.md", tmp_path / "benchmarks")
    assert (tmp_path / "benchmarks.md").read_text() == (ROOT / PAGE).read_text()
    rendered = {path.name: path.read_text() for path in (tmp_path / "benchmarks").iterdir()}
    assert rendered == {path.name: path.read_text() for path in (ROOT / FOLDER).iterdir()}


def test_every_result_file_belongs_to_an_area():
    placed = {name for names in AREAS.values() for name in names}
    assert {path.stem for path in (ROOT / RESULTS).glob("*.json")} <= placed


def test_a_ratio_to_a_peer_stands_in_the_ratio_column_and_a_missed_bar_says_no(made_pages):
    page, details = made_pages(MADE_CLAIM)
    command = "[`make bench-made`](benchmarks/seqrec.md)"
    row = f"| users per second | – | a peer; ≥ 4 x | 3.5 x | **no** | {command} | 2026-01-02 |"
    assert row in page.splitlines()
    assert "| users per second | 3.5 x | ≥ 4 x | **no** | a peer | 2, 3 to 4 | 2026-01-02 |" in details.splitlines()


@pytest.mark.parametrize(
    ("claim", "bar", "value", "ratio"),
    [
        ("NDCG@10", "≥ 0.05 ", 0.06, "1.2"),
        ("a gain, p", "≤ 0.01 ", 0.001, "–"),
        ("files that differ", "≤ 0 files", 0, "–"),
        ("gain over zero", "≥ 0 ", 0.2, "–"),
    ],
)
def test_a_measured_value_is_divided_by_its_bar_where_that_means_something(made_pages, claim, bar, value, ratio):
    page, _ = made_pages(MADE_CLAIM | {"claim": claim, "unit": "", "bar": bar, "value": value, "holds": True})
    columns = next(line for line in page.splitlines() if line.startswith(f"| {claim} |")).split(" | ")
    assert columns[1] == str(value) and columns[3] == ratio and columns[4] == "yes"


def test_an_unknown_benchmark_is_shown_among_the_others(made_pages):
    page, _ = made_pages(MADE_CLAIM, name="made")
    assert "## Others" in page


def test_a_small_p_value_in_the_details_is_not_rounded_to_zero(made_pages):
    _, details = made_pages(MADE_CLAIM, details={"tests": [{"p": 3e-8, "share": 0.123456}]})
    assert "| 3e-08 | 0.1235 |" in details.splitlines()
