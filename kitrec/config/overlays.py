"""Overlays of conf/: what each profile sets, what several set together, and which ones explain a params.yaml."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kitrec.core import params
from kitrec.core.errors import InputError

CONF = Path("conf")
BUILDS_ON = "builds_on"  # key of an overlay that names another one of its group, whose values it starts from
PRECEDENCE = ("dataset", "llm")  # of groups that set the same keys the later wins: lengths belong to the base
ABSENT = "(absent)"
MAPS_OF_NAMES = ("infer.methods.", "titles.fusions.", "thinkrec.train.", "domains.labels.")  # may gain and lose names
Values = dict[str, Any]  # dotted key -> value of a leaf
Active = dict[str, str]  # group -> name of its profile; a group without one has the shipped values


def available() -> dict[str, list[str]]:
    """Return group -> names of its profiles, in the order in which groups are merged."""
    groups = {
        folder.name: sorted(p.stem for p in folder.glob("*.yaml")) for folder in CONF.iterdir() if folder.is_dir()
    }
    others = sorted(set(groups) - set(PRECEDENCE))
    return {group: groups[group] for group in (*PRECEDENCE, *others) if group in groups}


def overlay(choice: str) -> Values:
    """Return what the profile `group=name` sets."""
    group, _, name = choice.partition("=")
    profiles = available()
    if name not in profiles.get(group, []):
        choices = ", ".join(f"{g}={n}" for g, names in profiles.items() for n in names)
        raise InputError(f"profile {choice!r} is unknown; there are: {choices}")
    tree = params.read(CONF / group / f"{name}.yaml")
    below = tree.pop(BUILDS_ON, None)
    sets = {key: value for name, each in leaves(tree).items() for key, value in _without(name, each).items()}
    return (overlay(f"{group}={below}") if below else {}) | sets


def _without(key: str, value: Any) -> Values:
    """Return a leaf as it is; a name of a map of names that is null goes with all that ships below it."""
    above, _, _ = key.rpartition(".")
    if value is not None or f"{above}." not in MAPS_OF_NAMES:
        return {key: value}
    return {name: ABSENT for name in shipped() if name.startswith(f"{key}.")}


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Values:
    """Return dotted key -> value for every leaf of a tree."""
    flat: Values = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= leaves(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def shipped_text() -> str:
    """Return the params.yaml that the project ships."""
    return resources.files("kitrec.config").joinpath("default_params.yaml").read_text(encoding="utf-8")


def shipped() -> Values:
    """Return the shipped values."""
    return dict(_shipped())


@cache  # 400 lines of YAML take a tenth of a second
def _shipped() -> Values:
    return leaves(YAML(typ="safe").load(shipped_text()))


def by_group(choices: list[str]) -> Active:
    """Return choices `group=name` as group -> name; a group has one profile at a time."""
    chosen: Active = {}
    for choice in choices:
        overlay(choice)
        group, _, name = choice.partition("=")
        if chosen.setdefault(group, name) != name:
            raise InputError(f"{group}={chosen[group]} and {choice}: a group has one profile at a time; choose one")
    return chosen


def in_order(active: Active) -> list[str]:
    """Return active profiles as choices in the order in which they are merged."""
    return [f"{group}={active[group]}" for group in available() if group in active]


def values_of(active: Active) -> Values:
    """Return what these profiles make of the shipped values: the order in which they were chosen says nothing."""
    values = shipped()
    for choice in in_order(active):
        values |= overlay(choice)
    return {key: value for key, value in values.items() if value != ABSENT}


def overruled(active: Active, chosen: Active) -> list[str]:
    """Return, for every key that a chosen profile and another one want to have differently, which one holds."""
    messages, holder, made = list[str](), dict[str, str](), Values()
    new = in_order(chosen)
    for choice in in_order(active):
        for key, value in overlay(choice).items():
            if made.get(key, value) != value and (choice in new or holder[key] in new):
                messages.append(f"{key}: {value!r} of {choice} holds, not {made[key]!r} of {holder[key]}")
            made[key], holder[key] = value, choice
    return messages


def find_active(values: Values) -> Active:
    """Return the profiles that leave the fewest values unexplained; of equals, the fewest profiles."""
    explained: Active = {}
    base = shipped()
    for overlays in _related_groups():
        keys = {key for profiles in overlays.values() for sets in profiles.values() for key in sets}
        start = {key: base.get(key, ABSENT) for key in keys}
        best = len(keys) + 1, 0
        for names in product(*([None, *profiles] for profiles in overlays.values())):
            active = {group: name for group, name in zip(overlays, names, strict=True) if name}
            made = dict(start)
            for group, name in active.items():
                made |= overlays[group][name]
            cost = sum(made[key] != values.get(key, ABSENT) for key in keys), len(active)
            if cost < best:
                best, chosen = cost, active
        explained |= chosen
    return {group: explained[group] for group in available() if group in explained}


def _related_groups() -> list[dict[str, dict[str, Values]]]:
    """Return group -> name -> overlay, apart for groups that share no key: each lot is explained for itself."""
    lots: list[dict[str, dict[str, Values]]] = []
    for group, names in available().items():
        lot = {group: {name: overlay(f"{group}={name}") for name in names}}
        for other in [each for each in lots if _keys(each) & _keys(lot)]:
            lots.remove(other)
            lot = other | lot
        lots.append(lot)
    return lots


def _keys(lot: dict[str, dict[str, Values]]) -> set[str]:
    return {key for profiles in lot.values() for sets in profiles.values() for key in sets}
