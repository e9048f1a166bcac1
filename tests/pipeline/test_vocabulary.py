"""The project speaks the field's words (docs/conventions.md): the private ones it once had do not come back."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

# Words that no identifier and no param may contain.
RETIRED_WORDS = set(
    """told asked asking eyes lesson lessons course courses taught wanted reader readers settle settled stale liked
    examining timetable team drills flips fewest watching watcher""".split()
)
# Names that say nothing of what they hold.
RETIRED_NAMES = {"own", "found", "such", "met", "half", "near", "looking", "given"}
# A person is a user; a sentence is one that a technical writer would write.
PROSE = r"\breaders?\b|\btold of\b|\bWho has\b"  # in docstrings and comments; prompts keep the words models learned


def python_files() -> list[Path]:
    return sorted(path for folder in ("kitrec", "stages", "bench") for path in (ROOT / folder).rglob("*.py"))


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """All names that a file binds: functions, classes, arguments, variables, attributes, imports' aliases."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str()):
                yield node.lineno, str(node.asname)


def words(identifier: str) -> set[str]:
    """`TargetBatch` and `target_batch` are both target and batch."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().split("_"))


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_identifier_speaks_the_private_language(path):
    assert not words(path.stem) & RETIRED_WORDS, path
    refused = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for line, name in identifiers(path)
        if words(name) & RETIRED_WORDS or name in RETIRED_NAMES
    ]
    assert refused == []


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *sorted((ROOT / "conf").rglob("*.yaml"))], ids=lambda p: p.name)
def test_no_param_speaks_the_private_language(path):
    def keys(tree: object) -> Iterator[str]:
        if isinstance(tree, dict):
            for key, value in tree.items():
                yield str(key)
                yield from keys(value)

    refused = [key for key in keys(YAML(typ="safe").load(path.read_text())) if words(key) & RETIRED_WORDS]
    assert refused == []


def prose(path: Path) -> str:
    """Docstrings and comments of a file."""
    text = path.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, nodes)]
    return "\n".join([*comments, *docstrings])


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_person_is_a_user(path):
    assert not re.findall(PROSE, prose(path)), path
