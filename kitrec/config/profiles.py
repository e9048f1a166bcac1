"""Profiles: overlays of conf/ that are merged into params.yaml, keeping its comments."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kitrec.config.sections import moving_problem, renamed_parts, renaming_problem, validate_tree
from kitrec.core import files, params
from kitrec.core.errors import InputError

CONF = Path("conf")
METHODS = ["infer", "methods"]  # maps of names: the only ones that an overlay may add keys to
STAGES = ["thinkrec", "train"]


def available() -> dict[str, list[str]]:
    """Return group -> names of its profiles."""
    return {
        folder.name: sorted(p.stem for p in folder.glob("*.yaml"))
        for folder in sorted(CONF.iterdir())
        if folder.is_dir()
    }


def overlay(choice: str) -> dict[str, Any]:
    """Return the overlay `group=name` as a tree."""
    group, _, name = choice.partition("=")
    profiles = available()
    if name not in profiles.get(group, []):
        choices = ", ".join(f"{g}={n}" for g, names in profiles.items() for n in names)
        raise InputError(f"profile {choice!r} is unknown; there are: {choices}")
    return params.read(CONF / group / f"{name}.yaml")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value for every leaf of a tree."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= leaves(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def as_options(choices: list[str]) -> list[str]:
    """Return overlays as `-S ++key=value` options of `dvc exp run`; ++ sets new and existing keys."""
    values = {key: value for choice in choices for key, value in leaves(overlay(choice)).items()}
    return [part for key, value in values.items() for part in ("-S", f"++{key}={json.dumps(value)}".replace(" ", ""))]


def use(path: Path, choices: list[str]) -> None:
    """Merge overlays into the file."""
    values: dict[str, Any] = {}
    for choice in choices:
        values |= leaves(overlay(choice))
    put(path, values)


def put(path: Path, values: Mapping[str, Any]) -> None:
    """Set dotted keys in the file, keeping comments; the file is changed only if the result is valid."""
    renamed = {old: name for key in values for old, name in renamed_parts(key)}
    outdated = [renaming_problem(old, name) for old, name in renamed.items()]
    outdated += [problem for problem in map(moving_problem, values) if problem]
    if outdated:
        raise InputError("; ".join(outdated))
    yaml = _round_trip()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    before = leaves(params.read(path))
    expected = before | leaves(values)
    for key, value in values.items():
        if key not in before or before[key] != value:  # an inherited key stays inherited
            _set(tree, key, value)
    text = _dumped(yaml, tree)
    for key, value in leaves(YAML(typ="safe").load(text)).items():
        if value != expected[key]:  # inherited by `<<` from a block that has just changed
            _set(tree, key, expected[key])
    text = _dumped(yaml, tree)
    validate_tree(YAML(typ="safe").load(text), path)
    with files.atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _round_trip() -> YAML:
    """Return a loader and dumper that keeps comments and anchors."""
    yaml = YAML()
    yaml.width = 122
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return yaml


def _dumped(yaml: YAML, tree: Any) -> str:
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _set(tree: Any, key: str, value: Any) -> None:
    """Set a dotted key that must exist, except for new methods: an overlay may change values, not add keys."""
    *parents, last = key.split(".")
    node: Any = tree
    if parents[:2] == METHODS and len(parents) == 3:
        node["infer"]["methods"].setdefault(parents[2], {}).setdefault(last, None)
    if parents == STAGES:
        node["thinkrec"]["train"].setdefault(last, None)
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node:
        raise InputError(f"{key} is no key of params.yaml: a profile may change values, but not add keys")
    node[last] = value
