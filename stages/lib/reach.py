"""Which project files a stage script reaches by its imports: what `dvc.yaml` must list, no more and no less."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kitrec", "stages")
_DOTTED = re.compile(r"kitrec(\.\w+)+")


@cache
def reached_files(script: str) -> tuple[str, ...]:
    """The script and every project file it imports, directly or not, sorted. Empty `__init__` files do not count."""
    found: set[Path] = set()
    pending = [ROOT / script]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += [p for name in _imported_names(path) for p in _files_of(name)]
    return tuple(sorted(str(path.relative_to(ROOT)) for path in found if path.read_bytes().strip()))


def _imported_names(path: Path) -> set[str]:
    """Dotted names of all project imports in a file: also inside functions, also as text handed to a plugin loader."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            names |= {node.value, node.value.rpartition(".")[0]}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def _files_of(name: str) -> list[Path]:
    """The module file of a dotted name, if it is one, and the packages above it."""
    parts = name.split(".")
    packages = [ROOT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    module = ROOT.joinpath(*parts).with_suffix(".py")
    return [path for path in [*packages, module] if path.is_file()]
