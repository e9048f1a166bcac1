"""Every key of params.yaml has a reader: an attribute access whose object mypy knows to be the key's own section."""

import ast
import dataclasses
import os
import re
import sys
import typing
from functools import cache

from mypy import build
from mypy.config_parser import parse_config_file
from mypy.find_sources import create_source_list
from mypy.nodes import MemberExpr
from mypy.options import Options
from mypy.types import Instance, UnionType, get_proper_type

from kitrec.config.sections import SECTIONS
from tests.conftest import ROOT


def test_every_key_of_every_section_has_a_reader(monkeypatch):
    monkeypatch.chdir(ROOT)
    unread = sorted(
        f"{section}: {field.name} of {cls.__name__}"
        for section, cls in section_classes()
        for field in dataclasses.fields(cls)
        if not (
            is_read(cls, field.name)
            or is_discriminator(cls, field.name)
            or (SECTIONS.get(section) is cls and f"{section}.{field.name}" in keys_named_in_code())
            or f"{section}.{field.name}" in keys_in_templates()
            or cls.__name__ in classes_read_by_any_name()
        )
    )
    assert unread == []


def test_a_key_of_a_common_name_that_nobody_reads_is_found(monkeypatch):
    """`kind` is read of many objects; of a section whose discriminator it is, mypy sees that nobody reads it."""
    monkeypatch.chdir(ROOT)
    names = {attribute for _, attribute in attributes_read()}
    common = [
        (cls, field.name)
        for _, cls in section_classes()
        for field in dataclasses.fields(cls)
        if field.name in names and (f"{cls.__module__}.{cls.__qualname__}", field.name) not in attributes_read()
    ]
    assert common


@cache
def attributes_read() -> frozenset[tuple[str, str]]:
    """(class, attribute) of all attribute accesses in the library and the stages, by mypy's types."""
    options = Options()
    parse_config_file(options, lambda: None, "pyproject.toml", sys.stdout, sys.stderr)
    options.export_types = options.preserve_asts = options.ignore_errors = True
    options.incremental = False
    options.follow_imports, options.cache_dir = "skip", os.devnull  # other projects' types do not matter here
    types = build.build(create_source_list(["kitrec", "stages"], options), options).types
    found = set()
    for expression in types:
        if isinstance(expression, MemberExpr) and (of := types.get(expression.expr)) is not None:
            of = get_proper_type(of)
            members = of.items if isinstance(of, UnionType) else [of]
            instances = [kind for kind in map(get_proper_type, members) if isinstance(kind, Instance)]
            found |= {(kind.type.fullname, expression.name) for kind in instances}
    return frozenset(found)


def is_read(cls: type, key: str) -> bool:
    """Whether the key is read of the class, or of one that it extends."""
    return any((f"{base.__module__}.{base.__qualname__}", key) in attributes_read() for base in cls.__mro__)


def section_classes() -> list[tuple[str, type]]:
    """(section, class) of all dataclasses that a section is made of."""
    found: dict[type, str] = {}

    def add(hint: typing.Any, section: str) -> None:
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in found:
            found[hint] = section
            for inner in typing.get_type_hints(hint).values():
                add(inner, section)
        for inner in typing.get_args(hint):
            add(inner, section)

    for section, cls in SECTIONS.items():
        add(cls, section)
    return [(section, cls) for cls, section in found.items()]


def is_discriminator(cls: type, key: str) -> bool:
    """Whether the key's one possible value says which class of a union a mapping is."""
    hint = typing.get_type_hints(cls)[key]
    return key == "kind" and typing.get_origin(hint) is typing.Literal and len(typing.get_args(hint)) == 1


@cache
def keys_named_in_code() -> frozenset[str]:
    """Dotted keys that stages hand to params.value and params.load."""
    found = set()
    for path in (ROOT / "stages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"params.value", "params.load"}:
                parts = ast.unparse(node.args[1]).strip("f'\"").split(".")
                found |= {".".join(parts[:2])}
    return frozenset(found)


@cache
def classes_read_by_any_name() -> frozenset[str]:
    """Classes of which stages read the key that their command line names: params.value(Stages, f"....{stage}")."""
    found = set()
    for path in (ROOT / "stages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "params.value":
                last = ast.unparse(node.args[1]).strip("f'\"").rpartition(".")[2]
                found |= {ast.unparse(node.args[0])} if last.startswith("{") else set()
    return frozenset(found)


@cache
def keys_in_templates() -> frozenset[str]:
    """Dotted keys that dvc.yaml's templates use: `${train.targets}`, `${probes.orders}`."""
    return frozenset(re.findall(r"\$\{(\w+\.\w+)[\[\].\w]*\}", (ROOT / "dvc.yaml").read_text()))
