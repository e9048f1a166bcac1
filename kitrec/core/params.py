"""Strict loading of params.yaml: a section becomes a frozen dataclass, and all its errors are reported at once."""

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kitrec.core.errors import InputError

T = TypeVar("T")
FILE = Path("params.yaml")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def section(cls: type[T]) -> type[T]:
    """Turn a class into a params section: frozen, every key required, unknown keys refused, types never coerced."""
    strict = ConfigDict(extra="forbid", strict=True)
    return pydantic_dataclass(frozen=True, kw_only=True, config=strict)(cls)  # type: ignore[return-value]


def read(path: Path = FILE) -> dict[str, Any]:
    """Return the whole file as dicts and lists (YAML 1.2, as DVC reads it, so that 2e-4 is a number)."""
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: run from the project's root, or restore it by `git checkout {path}`"
        ) from None
    except YAMLError as problem:
        raise InputError(f"{path} is not valid YAML: {problem}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path} must hold sections (`name:` lines), it holds {type(tree).__name__}")
    return tree


def load(cls: type[T], name: str, path: Path = FILE) -> T:
    """Return section `name` (dotted for nested ones: `infer.methods.base_cot`) as a `cls`."""
    problems: list[str] = []
    value = parse(cls, name, read(path), problems)
    if problems or value is None:
        raise InputError(problem_report(path, problems))
    return value


def value(cls: type, name: str, path: Path = FILE) -> Any:
    """Return one key of a section (`data.candidate_set`), checked with its section: stages can depend on it alone."""
    parent, _, key = name.rpartition(".")
    return getattr(load(cls, parent, path), key)


def parse(cls: type[T], name: str, tree: Mapping[str, Any], problems: list[str]) -> T | None:
    """Return a section of `tree` as a `cls`, or None; validation errors are appended to `problems`."""
    node: Any = tree
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            keys = list(node) if isinstance(node, Mapping) else []
            problems.append(
                f"{name}: missing; {_suggestion(part, keys) or f'add `{part}:`, see the shipped params.yaml'}"
            )
            return None
        node = node[part]
    try:
        return TypeAdapter(cls).validate_json(json.dumps(node, default=str), strict=True)
    except ValidationError as invalid:
        problems += [_error_message(cls, name, error) for error in invalid.errors(include_url=False)]
        return None


def problem_report(path: Path, problems: list[str]) -> str:
    """Format all problems of a file as one message."""
    return f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n" + "\n".join(
        f"  - {p}" for p in problems
    )


def _error_message(cls: type, name: str, error: Mapping[str, Any]) -> str:
    """Format one validation error as key, rule and way out."""
    where = ".".join([name, *map(str, error["loc"])])
    key = str(error["loc"][-1]) if error["loc"] else name
    match error["type"]:
        case "unexpected_keyword_argument":
            keys = [f.name for f in fields(cls)] if len(error["loc"]) == 1 else []
            return f"{where}: unknown key; {_suggestion(key, keys) or 'remove it'}"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{where}: missing; every key is required, copy it from the shipped params.yaml"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case _:
            return f"{where}: {error['input']!r} is refused: {error['msg'][0].lower()}{error['msg'][1:]}"


def _suggestion(key: str, keys: list[str]) -> str:
    close = difflib.get_close_matches(key, keys, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known keys: {', '.join(keys)}" if keys else ""


Check = Callable[[bool, str], None]


def rules() -> tuple[Check, Callable[[], None]]:
    """Return (require, done) for a section's `__post_init__`: `require` collects broken rules, `done` raises them."""
    broken: list[str] = []

    def require(holds: bool, rule: str) -> None:
        if not holds:
            broken.append(rule)

    def done() -> None:
        if broken:
            raise ValueError("; ".join(broken))

    return require, done
