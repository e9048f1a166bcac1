"""Paths, modules and links that the Markdown pages name exist."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOTS = "kitrec|stages|bench|conf|docs|tests"
PATH = re.compile(rf"(?<![\w./-])(?:\.\./)*((?:{ROOTS})/[\w./*{{}},-]*[\w*}}/])")
MODULE = re.compile(r"(?<![\w./-])((?:kitrec|stages|bench)(?:\.[A-Za-z_]\w*)+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Return all Markdown files that git knows or would add; the card in base/ is frozen with the base it describes."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.md", ":!base"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in sorted(listed.split("\n")) if name and (ROOT / name).is_file()]


def exists(pattern: str) -> bool:
    """Return whether a path, or each alternative of a pattern (`stages/probe_*.py`, `a/{b,c}.py`), is in the tree."""
    braces = re.search(r"{([^}]*)}", pattern)
    if braces:
        return all(exists(pattern.replace(braces[0], each.strip(), 1)) for each in braces[1].split(","))
    return any(ROOT.glob(pattern.rstrip("/")))


def names_of(module: Path) -> set[str]:
    """Return all names that a module defines or imports, members of its classes included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).rpartition(".")[2])
    return names


def is_module_or_name(dotted: str) -> bool:
    """Return whether `package.module` is in the tree, and `package.module.name` is defined there."""
    package, *parts = dotted.split(".")
    folder = ROOT / package
    for k, part in enumerate(parts):
        if (folder / part).is_dir():
            folder /= part
        elif (folder / f"{part}.py").is_file():
            return set(parts[k + 1 :]) <= names_of(folder / f"{part}.py")
        else:
            return set(parts[k:]) <= names_of(folder / "__init__.py")
    return True


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_named_in_a_page_exists(page):
    paths = {match[1] for match in PATH.finditer(page.read_text(encoding="utf-8"))}
    assert not sorted(path for path in paths if not exists(path))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_named_in_a_page_exists(page):
    modules = {match[1] for match in MODULE.finditer(page.read_text(encoding="utf-8"))}
    assert not sorted(module for module in modules if not is_module_or_name(module))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_an_anchor(page):
    broken = []
    for target in (match[1] for match in LINK.finditer(page.read_text(encoding="utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        anchored = not anchor or (file.is_file() and anchor in anchors(file))
        if not file.exists() or not anchored:
            broken.append(target)
    assert not broken


def anchors(page: Path) -> set[str]:
    """Return the explicit anchors of a page and those GitHub makes of its headings."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("kitrec/core/files.py", True),
        ("kitrec/core", True),
        ("bench/*.py", True),
        ("kitrec/core/{files,tables}.py", True),
        ("kitrec/core/{files,nowhere}.py", False),
        ("kitrec/nowhere.py", False),
        ("stages/nowhere_*.py", False),
    ],
)
def test_a_path_that_is_not_in_the_tree_is_noticed(name, there):
    assert exists(name) == there


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("kitrec.core.files", True),
        ("kitrec.load_run", True),  # a public name of the package
        ("kitrec.core.randomness.generator", True),
        ("kitrec.core.randomness.nowhere", False),
        ("kitrec.nowhere", False),
    ],
)
def test_a_module_that_is_not_in_the_tree_is_noticed(name, there):
    assert is_module_or_name(name) == there
