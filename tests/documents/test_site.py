"""The site of the documents: its navigation has every page, and its hook draws the graphs that the pages hold."""

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.lib import graph
from tests.conftest import ROOT

DOCS_PYTHON = ROOT / ".venv-docs/bin/python"


def settings() -> Any:
    """mkdocs.yml, without the tags that name Python functions."""
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return yaml.safe_load(text)


def listed(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for child in node.values() if isinstance(node, dict) else node:
            yield from listed(child)


def test_the_navigation_has_every_page_once():
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed(settings()["nav"])) == sorted(page for page in pages if not page.startswith("benchmarks/"))


def test_pages_link_to_nothing_outside_the_site():
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            inside = "://" in target or (page.parent / target).resolve().is_relative_to(ROOT / "docs")
            assert inside, f"{page}: {target}"


def test_requirements_are_exact_pins():
    lines = (ROOT / "requirements-docs.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==[\w.]+( |$)", line) for line in pinned) and len(pinned) > 20


@pytest.fixture(scope="module")
def hooks() -> Any:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/site_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("drawing", [graph.mermaid, graph.overview])
def test_no_line_of_a_graph_is_lost_on_the_way_to_graphviz(hooks, drawing):
    mermaid, dot = drawing(), hooks.as_dot(drawing())
    assert dot.count(" -> ") == mermaid.count(" --> ") > 10
    assert dot.count("{") == dot.count("}") == mermaid.count("subgraph") + 1
    named = len(re.findall(r'^\s*\w+(\[".*"\](:::optional)?)?$', mermaid, re.MULTILINE)) - mermaid.count("  end\n")
    assert len(re.findall(r"^\w+( \[label=.*\])?;$", dot, re.MULTILINE)) == named


@pytest.mark.slow
def test_the_site_is_built_strictly_and_fetches_nothing(tmp_path):
    if not DOCS_PYTHON.is_file():
        pytest.skip("no .venv-docs: `make docs` makes it")
    command = [str(DOCS_PYTHON.with_name("mkdocs")), "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    pages = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert len(pages) > 50 and "<svg" in pages[tmp_path / "graph.html"]
    for path, text in pages.items():
        fetched = re.findall(
            r'<(?:script|img|iframe)[^>]*src="(https?:[^"]*)|<link[^>]*href="(https?:[^"]*\.css)', text
        )
        assert fetched == [], path
    assert Path(tmp_path / "search/search_index.js").stat().st_size > 10_000
