"""Strict loading of params.yaml: a section becomes a frozen dataclass, and all its errors are reported at once."""

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
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
        problems += _error_messages(cls, name, node, invalid)
        return None


def problem_report(path: Path, problems: list[str]) -> str:
    """Format all problems of a file as one message."""
    return f"{path}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n" + "\n".join(
        f"  - {p}" for p in problems
    )


def _error_messages(cls: type, name: str, node: Any, invalid: ValidationError) -> list[str]:
    """Format the errors of a section; a value that fits no branch of a union is reported once."""
    messages: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False):
        beginning, colon, rule = _error_message(cls, name, node, error).partition(" is refused: ")
        messages.setdefault(beginning + colon, []).append(rule)
    return [beginning + ", or ".join(dict.fromkeys(rules)) for beginning, rules in messages.items()]


def _error_message(cls: type, name: str, node: Any, error: Mapping[str, Any]) -> str:
    """Format one validation error as key, rule and way out."""
    where = ".".join([name, *_keys(error["loc"], node, whole=error["type"].startswith("missing"))])
    key = str(error["loc"][-1]) if error["loc"] else name
    match error["type"]:
        case "union_tag_invalid":
            tags, kind = error["ctx"], error["ctx"]["discriminator"].strip("'")
            return f"{where}.{kind}: {tags['tag']!r} is refused: input should be one of {tags['expected_tags']}"
        case "union_tag_not_found" if isinstance(error["input"], Mapping):
            return f"{where}.{error['ctx']['discriminator'].strip(chr(39))}: missing; it says which keys belong here"
        case "unexpected_keyword_argument":
            keys = [f.name for f in fields(cls)] if len(error["loc"]) == 1 else []
            return f"{where}: unknown key; {_suggestion(key, keys) or 'remove it'}"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{where}: missing; every key is required, copy it from the shipped params.yaml"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case _:
            return f"{where}: {error['input']!r} is refused: {_rule(error['msg'])}"


def _keys(location: Sequence[str | int], node: Any, *, whole: bool) -> list[str]:
    """Return the keys of a location that stand in the file: the validator also names branches of unions and types.

    `whole`: the last one is missing there, and named all the same."""
    keys = []
    for place, part in enumerate(location):
        in_list = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if in_list or (isinstance(node, Mapping) and part in node):
            node = node[part]
        elif not (whole and place == len(location) - 1):
            continue
        keys.append(str(part))
    return keys


def _rule(message: str) -> str:
    """Return a rule in the words of the file, which has lists and mappings."""
    for words, plain in (
        (r"an object|a valid dictionary( or .*)?", "a mapping"),
        (r"a valid (array|tuple|list)|an instance of \w+", "a list"),
        (r"^(Tuple|List) should", "the list should"),
        (r" after validation, not \d+", ""),
    ):
        message = re.sub(words, plain, message)
    return message[0].lower() + message[1:]


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
