"""The reference page of params.yaml: every key with its value, the values that are accepted, and its comment.

Values and comments are those of the file, accepted values those of the dataclasses, by pydantic's JSON schema."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kitrec.config.overlays import leaves
from kitrec.config.sections import SECTIONS
from kitrec.core import params
from stages.lib.dvcfile import ROOT
from stages.lib.markdown import row

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w]+):(?P<value>.*?)(?:\s+# (?P<comment>.*))?$")
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_LENGTHS = {"minItems": "{} or more entries", "maxItems": "up to {} entries", "pattern": "matches `{}`"}


@cache
def params_page() -> str:
    """Return the page."""
    path = ROOT / params.FILE
    tree, comments = params.read(path), dict(_comments(path))
    parts = [
        "# Parameters",
        "Every key of `params.yaml`, from the file and the dataclasses that check it. A missing, unknown or mistyped "
        "key is refused before anything runs. Change one by `dvc exp run -S key=value`, several by a profile. "
        "This page is generated: `python -m stages.lib.pages`.",
    ]
    for name, cls in SECTIONS.items():
        schema = TypeAdapter(cls).json_schema()
        about = _sentence(cls)
        lines = [row("key", "value", "accepted", "remark"), row(*["---"] * 4)]
        for key, value in leaves({name: tree[name]}).items():
            accepted = _accepted(_node(schema, schema, key.split(".")[1:]), schema)
            lines.append(row(f"`{key}`", f"`{_shown(value)}`", accepted, _comment(key, comments)))
        parts += [f"## {name}", *([about] if about else []), "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _comments(path: Path) -> Iterator[tuple[str, str]]:
    """Yield dotted key -> the comment behind it; a line without a key goes on with the comment before."""
    stack: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        indent = len(match["indent"])
        stack = [entry for entry in stack if entry[0] < indent]
        stack.append((indent, match["key"]))
        if match["comment"]:
            yield ".".join(key for _, key in stack), match["comment"]


def _comment(key: str, comments: Mapping[str, str]) -> str:
    """Return the comment of a key; of a key inside `{...}` that of its line."""
    parts = key.split(".")
    names = [".".join(parts[:depth]) for depth in range(len(parts), 1, -1)]
    return next((comments[name] for name in names if name in comments), "")


def _node(node: Mapping[str, Any], schema: Mapping[str, Any], keys: list[str]) -> Mapping[str, Any]:
    """Return the JSON schema of a nested key; nothing where the key is free."""
    node = _resolved(node, schema)
    if not keys:
        return node
    for option in [node, *(_resolved(each, schema) for each in node.get("anyOf", []))]:
        if keys[0] in option.get("properties", {}):
            return _node(option["properties"][keys[0]], schema, keys[1:])
        if isinstance(option.get("additionalProperties"), dict):
            return _node(option["additionalProperties"], schema, keys[1:])
    alternatives = [_node(each, schema, keys) for each in node.get("oneOf", [])]
    return {"anyOf": [each for each in alternatives if each]} if any(alternatives) else {}


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else node


def _accepted(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the accepted values in words."""
    node = _resolved(node, schema)
    if options := node.get("anyOf") or node.get("oneOf"):
        return " or ".join(dict.fromkeys(_accepted(each, schema) for each in options))
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    rules = [text.format(node[name]) for name, text in {**_BOUNDS, **_LENGTHS}.items() if name in node]
    kind = {"object": "section", "array": "list", "null": "`null`"}.get(node.get("type", ""), node.get("type", ""))
    if "items" in node and (inner := _accepted(node["items"], schema)):
        kind = f"list of {inner}"
    return ", ".join([kind, *rules]).replace(", ≥", " ≥").replace(", >", " >")


def _shown(value: Any) -> str:
    text = str(value)
    return {"None": "null", "True": "true", "False": "false", "": '""'}.get(text, text)


def _sentence(cls: Any) -> str:
    """Return the docstring of a section; those of plain values and the signatures that dataclasses add say nothing."""
    text = " ".join((cls.__doc__ or "").split())
    return text if isinstance(cls, type) and cls is not int and not text.startswith(f"{cls.__name__}(") else ""
