"""Sentences and numbers of README.md and docs/results.md follow from the committed metrics: read here once more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.lib import headline_text, pages
from tests.conftest import ROOT

PAGES = ("README.md", "docs/results.md")
CLAIM = re.compile(
    r"`(\w+)` is (ahead of|behind|not distinguishable from) `(\w+)` in (\S+): ([\d.]+) against ([\d.]+), (.*)p (.*)"
)
DIRECTION = re.compile(
    r"\b(ahead|behind|better|worse|beats?|outperforms?|more often|less often|wins?|loses?|superior|improves?)\b", re.I
)
KEYS = {"Hit@1": "hit@1", "Hit@5": "hit@5", "Hit@10": "hit@10", "MRR": "mrr", "NDCG@10": "ndcg@10"}


def read(path: str) -> Any:
    return json.loads((ROOT / path).read_text())


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def printed(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("= 0.", "= .")


def test_generated_parts_are_current():
    assert pages.outdated() == [], f"run `{pages.REFRESH}` and commit"


def test_readme_stays_short():
    assert text("README.md").count("\n") < 150


def test_claims_about_the_committed_run_are_those_of_the_declared_tests():
    means, tested = read("metrics/evaluate.json"), read("metrics/significance.json")
    block = text("README.md").partition("sentences:begin")[2].partition("sentences:end")[0]
    claims = [match.groups() for match in map(CLAIM.search, block.splitlines()) if match]
    assert len(claims) >= 4
    for first, says, second, metric, value, other, rest, p in claims:
        key = KEYS[metric]
        assert (value, other) == tuple(f"{means[name]['scored'][key]:.3f}" for name in (first, second))
        row = tested[key][f"{first} against {second}"]
        sure = row["p_holm"] < 0.05
        expected = ("ahead of" if float(value) > float(other) else "behind") if sure else "not distinguishable from"
        assert says == expected and printed(row["p_holm"]) == p
        numbers = [float(number) for number in re.findall(r"[+-]\d\.\d+", rest)]
        assert numbers == [round(row[name], 3) for name in ("difference", "low", "high")]


def test_claims_about_real_people_are_those_of_the_benchmark():
    benchmark = {claim["claim"]: claim for claim in read("bench/results/quality_real.json")["claims"]}
    block = text("README.md").partition("real:begin")[2].partition("real:end")[0]
    lines = [line for line in block.splitlines() if line.startswith("* ")]
    assert len(lines) >= 3
    for line in lines:
        where, _, claim = line.removeprefix("* ").partition(": ")
        first, says, second, metric, value, other, rest, p = CLAIM.search(claim).groups()
        row = benchmark[f"s{where[1:]}: {first} ahead of {second} in {KEYS[metric]}, p"]
        assert row["spread"] == f"{value} against {other}, {rest.removesuffix(', ')}"
        assert says == ("ahead of" if row["value"] <= 0.01 else "not distinguishable from")
        assert printed(row["value"]) == p


@pytest.mark.parametrize("page", PAGES)
def test_no_other_sentence_claims_a_direction(page):
    """Whoever writes that a method is ahead writes it as a claim that the tests above read."""
    loose = [line for line in text(page).splitlines() if DIRECTION.search(line) and not CLAIM.search(line)]
    rows = [line for line in loose if not re.match(r"\| `\w+` against `\w+` \|", line)]
    assert rows == []


def leaves(tree: Any) -> Iterator[float]:
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(value)
    elif isinstance(tree, float):
        yield tree


def test_every_table_of_means_has_the_committed_values():
    """A row `method`, five values is one of the headline tables; the block before it says which."""
    sources = {"headline": ("evaluate", "scored"), "scored": ("evaluate", "scored"), "written": ("evaluate", "written")}
    sources["other_set"] = ("evaluate_other_set", "scored")
    rows = 0
    for page in PAGES:
        for name, (file, kind) in sources.items():
            block = text(page).partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0]
            for method, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", block, re.MULTILINE):
                values = read(f"metrics/{file}.json")[method][kind]
                assert cells.replace("*", "").split(" | ") == [f"{values[key]:.3f}" for key in KEYS.values()]
                rows += 1
    assert rows >= 14


def test_numbers_of_readme_are_committed_ones():
    """Decimals outside of code; a digit that nobody measured is noticed."""
    plain = re.sub(r"```[^`]*```|`[^`]*`|^    .*$", "", text("README.md"), flags=re.MULTILINE)
    known = {f"{abs(value):.3f}"[1:] for path in (ROOT / "metrics").glob("*.json") for value in leaves(read(str(path)))}
    real = read("bench/results/quality_real.json")
    known |= {f"{value:.3f}"[1:] for value in leaves(real)} | set(re.findall(r"0(\.\d{3})", json.dumps(real)))
    numbers = set(re.findall(r"(?<![\d.])0?(\.\d{3})(?!\d)", plain))
    assert numbers and numbers - known - {".001"} == set()


def row(difference: float, p: float) -> dict[str, float]:
    return {"difference": difference, "p_holm": p}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (row(0.1, 0.049), "ahead of"),
        (row(-0.1, 0.0001), "behind"),
        (row(0.3, 0.05), "not distinguishable from"),
        (row(-0.3, 0.9), "not distinguishable from"),
    ],
)
def test_a_direction_needs_a_test(result, says):
    assert headline_text.verdict(result) == says


def test_markers_must_be_there_once():
    page = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n"
    assert pages.with_block(page, "x", "new") == "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n"
    with pytest.raises(ValueError, match="once each"):
        pages.with_block(page * 2, "x", "new")
    with pytest.raises(ValueError, match="<!-- y:begin -->"):
        pages.with_block(page, "y", "new")


def test_an_outdated_page_is_named_and_refreshed(tmp_path):
    for name in (*pages.BLOCKS, *pages.WHOLE, "params.yaml", "bench/results/quality_real.json"):
        copy(name, tmp_path)
    for path in (ROOT / "metrics").glob("*.json"):
        copy(str(path.relative_to(ROOT)), tmp_path)
    assert pages.outdated(tmp_path) == []
    headline = tmp_path / "metrics/evaluate.json"
    content = json.loads(headline.read_text())
    content["kitrec_full"]["scored"]["hit@1"] = 0.5
    headline.write_text(json.dumps(content))
    assert pages.outdated(tmp_path) == ["README.md", "docs/results.md"]
    assert pages.write_pages(tmp_path) == ["README.md", "docs/results.md"] and pages.outdated(tmp_path) == []
    assert "| `kitrec_full` | **0.500** |" in (tmp_path / "README.md").read_text()


def copy(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((ROOT / name).read_bytes())
