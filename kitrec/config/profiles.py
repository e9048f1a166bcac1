"""Profiles: overlays of conf/ that are merged into params.yaml, keeping its comments."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from kitrec.config.overlays import (
    ABSENT,
    MAPS_OF_NAMES,
    Active,
    Values,
    available,
    by_group,
    find_active,
    in_order,
    leaves,
    overlay,
    overruled,
    shipped,
    shipped_text,
    values_of,
)
from kitrec.config.sections import moving_problem, renamed_parts, renaming_problem, validate_tree
from kitrec.core import files, params
from kitrec.core.errors import InputError

Difference = tuple[str, Any, Any, str]  # key, shipped value, value, and the profile that set it or `by hand`


@dataclass(frozen=True)
class Change:
    """What choosing profiles makes of a params.yaml, and what it means for what was there."""

    values: Values
    active: Active
    replaced: list[str]  # profiles that another one of their group takes the place of
    conflicts: list[str]  # keys that two sides want to have differently, and who holds
    kept: list[str]  # keys set by hand that no profile touches


def plan(path: Path, choices: list[str], dropped: tuple[str, ...] = ()) -> Change:
    """Plan a change: chosen profiles replace those of their groups; what was set by hand stays, unless one sets it."""
    values, chosen = leaves(params.read(path)), by_group(choices)
    before = find_active(values)
    active = {group: name for group, name in before.items() if group not in dropped} | chosen
    explained, made = values_of(before), values_of(active)
    by_hand = {key for key in {**explained, **values} if explained.get(key, ABSENT) != values.get(key, ABSENT)}
    taken = {key: choice for choice in in_order(chosen) for key in overlay(choice) if key in by_hand}
    conflicts = [
        f"{key}: {made.get(key, ABSENT)!r} of {choice} holds, not {values.get(key, ABSENT)!r}, which was set by hand"
        for key, choice in taken.items()
        if made.get(key, ABSENT) != values.get(key, ABSENT)
    ]
    kept = {key for key in by_hand - set(taken) if values.get(key, ABSENT) != made.get(key, ABSENT)}
    for key in [key for key in {**values, **made} if key in kept]:
        if key in values:
            made[key] = values[key]
        else:
            del made[key]
    replaced = [f"{group}={name}" for group, name in before.items() if active.get(group) != name]
    return Change(made, active, replaced, overruled(active, chosen) + conflicts, sorted(kept))


def use(path: Path, choices: list[str]) -> Change:
    """Merge profiles into the file."""
    change = plan(path, choices)
    write(path, change.values)
    return change


def reset(path: Path, groups: list[str]) -> list[Difference]:
    """Return the file to the shipped values, or take the profiles of some groups away; return what was undone."""
    unknown = [group for group in groups if group not in available()]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no group of profiles; there are {', '.join(available())}")
    before = differences(path)
    if groups:
        write(path, plan(path, [], tuple(groups)).values)
    else:
        _replace(path, shipped_text())
    after = differences(path)
    return [line for line in before if line not in after]


def differences(path: Path) -> list[Difference]:
    """Return every key whose value differs from the shipped file."""
    base, values = shipped(), leaves(params.read(path))
    made, source = dict(base), dict[str, str]()
    for choice in in_order(find_active(values)):
        made |= overlay(choice)
        source |= dict.fromkeys(overlay(choice), choice)
    return [
        (key, base.get(key, ABSENT), value, source[key] if key in source and made[key] == value else "by hand")
        for key, value in {key: values.get(key, ABSENT) for key in {**base, **values}}.items()
        if base.get(key, ABSENT) != value
    ]


def as_options(path: Path, choices: list[str]) -> list[str]:
    """Return what `use` would do as `-S` options of `dvc exp run`: ++ sets new and existing keys, ~ removes one."""
    for choice in choices:
        if ABSENT in overlay(choice).values():
            raise InputError(
                f"{choice} leaves methods out, which DVC's options cannot write: `kitrec profile use {choice}`"
            )
    before, after = leaves(params.read(path)), plan(path, choices).values
    named = {key for choice in choices for key in overlay(choice)}
    changed = {key: after[key] for key in after if key in named or before.get(key, ABSENT) != after[key]}
    options = [f"++{key}={json.dumps(value)}".replace(" ", "") for key, value in changed.items()]
    options += [f"~{name}" for name in dict.fromkeys(_whole(key, after) for key in before if key not in after)]
    return [part for option in options for part in ("-S", option)]


def _whole(key: str, after: Values) -> str:
    """Return the topmost name above a key of which nothing is left; a map of names stays, be it empty."""
    parts = key.split(".")
    for k in range(2, len(parts)):
        above = ".".join(parts[:k]) + "."
        if above not in MAPS_OF_NAMES and not any(name.startswith(above) for name in after):
            return above[:-1]
    return key


def put(path: Path, values: Mapping[str, Any]) -> None:
    """Set dotted keys in the file, keeping comments; the file is changed only if the result is valid."""
    renamed = {old: name for key in values for old, name in renamed_parts(key)}
    outdated = [renaming_problem(old, name) for old, name in renamed.items()]
    outdated += [problem for problem in map(moving_problem, values) if problem]
    if outdated:
        raise InputError("; ".join(outdated))
    tree = params.read(path)
    for key in values:
        _require_known(tree, key)
    kept = {
        key: value
        for key, value in leaves(tree).items()
        if not any(key.startswith(f"{name}.") for name, new in values.items() if isinstance(new, Mapping))
    }
    write(path, kept | leaves(values))


def _require_known(tree: Any, key: str) -> None:
    """Refuse a key that is not there, except in maps of names: an overlay may change values, not add keys."""
    if key.startswith(MAPS_OF_NAMES):
        return
    node = tree
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise InputError(f"{key} is no key of params.yaml: a profile may change values, but not add keys")
        node = node[part]


def write(path: Path, values: Values) -> None:
    """Write a params.yaml with these values, if they are valid.

    The text is the shipped one with its comments, so that equal values are equal bytes; a file with comments of its
    own is edited in place."""
    text = path.read_text(encoding="utf-8")
    as_shipped = set(_comments(text)) <= set(_comments(shipped_text()))
    yaml = YAML()
    yaml.width = 122
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    tree = yaml.load(shipped_text() if as_shipped else text)
    now = shipped() if as_shipped else leaves(params.read(path))
    for _ in range(2):  # again: what was inherited by `<<` from a block that has just changed
        for key in dict.fromkeys(_whole(key, values) for key in now if key not in values):
            _remove(tree, key)
        for key in [key for key in {**now, **values} if key in values and now.get(key, ABSENT) != values[key]]:
            _set(tree, key, values[key])
        text = _dumped(yaml, tree)
        plain = YAML(typ="safe").load(text)
        now = leaves(plain)
        if now == values:
            break
    validate_tree(plain, path)
    _replace(path, text)


def _dumped(yaml: YAML, tree: Any) -> str:
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _replace(path: Path, text: str) -> None:
    with files.atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _comments(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


def _set(tree: Any, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        if not isinstance(node.get(parent), dict):
            node[parent] = CommentedMap()
        node = node[parent]
    node[last] = value


def _remove(tree: Any, key: str) -> None:
    """Remove a key, and what is empty without it, except a map of names."""
    *parents, last = key.split(".")
    nodes = [tree]
    for parent in parents:
        nodes.append(nodes[-1][parent])
    if last in nodes[-1]:
        del nodes[-1][last]
    for k in range(len(parents), 0, -1):
        if not nodes[k] and ".".join(parents[:k]) + "." not in MAPS_OF_NAMES:
            del nodes[k - 1][parents[k - 1]]
        elif not nodes[k]:
            _empty(nodes[k - 1], parents[k - 1])


def _empty(node: Any, name: str) -> None:
    """Write an empty map as `{}`; comments of what it held go with it, as YAML cannot place them."""
    node[name] = CommentedMap()
    node[name].fa.set_flow_style()
    node.ca.items.pop(name, None)
