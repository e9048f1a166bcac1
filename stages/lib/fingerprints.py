"""Fingerprints of the code behind every stage, in code.yaml, which dvc.yaml names key by key under `params:`.

A fingerprint hashes the syntax trees, without docstrings and comments, of all project files that a stage's script
imports, directly or not. A comment therefore costs nothing, a constant costs exactly the stages that reach it.

python -m stages.lib.fingerprints            refresh code.yaml (`make repro` does it first) and name what changed
python -m stages.lib.fingerprints --check    exit with 1 if code.yaml is out of date"""

import ast
import hashlib
import re
import sys
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from kitrec.core import files
from kitrec.core.errors import InputError
from stages.lib.dvcfile import stage_scripts

ROOT = Path(__file__).resolve().parents[2]
CODE_YAML = ROOT / "code.yaml"
REFRESH = "python -m stages.lib.fingerprints"
PACKAGES = ("kitrec", "stages")
PUBLIC_NAMES = Path("kitrec/__init__.py")  # imports nothing until a notebook uses a name of it; stages use none
HEADER = f"# Fingerprints of the code behind each stage; `{REFRESH}` refreshes them, `make repro` does so by itself.\n"
_DOTTED = re.compile(r"kitrec(\.\w+)+")


def check_fingerprint(stage: str, root: Path = ROOT) -> str:
    """Return the stage's fingerprint; refuse to go on if code.yaml holds another one."""
    current = fingerprint(f"stages/{stage}.py", root)
    if read_fingerprints(root).get(stage) != current:
        raise InputError(
            f"the code behind {stage} is not the code that code.yaml records, so DVC cannot know what is out of date: "
            f"run `{REFRESH}`, then `dvc repro` again (`make repro` does both)"
        )
    return current


def current_fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Return stage -> fingerprint for every stage of dvc.yaml, from the files as they are."""
    return {stage: fingerprint(script, root) for stage, script in sorted(stage_scripts(root).items())}


def read_fingerprints(root: Path = ROOT) -> dict[str, str]:
    """Return what code.yaml records; nothing if it is missing."""
    path = root / CODE_YAML.name
    return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def write_fingerprints(root: Path = ROOT) -> list[str]:
    """Refresh code.yaml and return the stages whose fingerprint changed."""
    before, now = read_fingerprints(root), current_fingerprints(root)
    if before != now:
        with files.atomic(root / CODE_YAML.name) as draft:
            lines = [f"{stage}: '{value}'\n" for stage, value in now.items()]
            draft.write_text(HEADER + "".join(lines), encoding="utf-8")
    return [stage for stage in now if before.get(stage) != now[stage]]


def fingerprint(script: str, root: Path = ROOT) -> str:
    """Hash the syntax trees of all files the script reaches."""
    parts = [f"{path}\0{_tree_hash(root / path)}" for path in reached_files(script, root)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def reached_files(script: str, root: Path = ROOT) -> tuple[str, ...]:
    """Return the script and every project file it imports, directly or not, sorted; empty files do not count."""
    reached: set[Path] = set()
    pending = [root / script]
    while pending:
        path = pending.pop()
        if path not in reached:
            reached.add(path)
            pending += [file for name in _imported_names(path) for file in _files_of(name, root)]
    return tuple(sorted(str(path.relative_to(root)) for path in reached if path.read_bytes().strip()))


@cache
def _tree_hash(path: Path) -> str:
    return hashlib.sha256(ast.dump(_tree(path)).encode()).hexdigest()


@cache
def _tree(path: Path) -> ast.Module:
    """Return a file's syntax tree without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


@cache
def _imported_names(path: Path) -> set[str]:
    """Return the dotted names of a file's project imports, also inside functions and as text for a plugin loader."""
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            names |= {node.value, node.value.rpartition(".")[0]}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def _files_of(name: str, root: Path) -> list[Path]:
    """Return the module file of a dotted name, if it is one, and the packages above it."""
    parts = name.split(".")
    packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    module = root.joinpath(*parts).with_suffix(".py")
    return [path for path in [*packages, module] if path.is_file() and path != root / PUBLIC_NAMES]


def main(arguments: list[str]) -> None:
    """Refresh code.yaml, or check it."""
    if arguments == ["--check"]:
        now, recorded = current_fingerprints(), read_fingerprints()
        outdated = sorted(stage for stage in now | recorded if now.get(stage) != recorded.get(stage))
        if outdated:
            sys.exit(f"error: code.yaml is out of date for {', '.join(outdated)}: run `{REFRESH}` and commit code.yaml")
        return
    changed = write_fingerprints()
    print(f"code.yaml: {', '.join(changed)} changed" if changed else "code.yaml is up to date")


if __name__ == "__main__":
    main(sys.argv[1:])
