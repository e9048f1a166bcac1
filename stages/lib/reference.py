"""Reference pages of the command line, the tables and the public functions, from the code itself."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import typer.main
from typer.core import TyperGroup

import kitrec
import kitrec.schemas
from kitrec.core.tables import Table
from stages.lib.markdown import table
from stages.lib.params_reference import params_page

__all__ = ["cli_page", "params_page", "python_page", "tables_page"]
GENERATED = "This page is generated: `python -m stages.lib.pages`."


@cache
def cli_page() -> str:
    """Return every command with its arguments and options."""
    from kitrec.cli.main import app

    parts = ["# Command line", f"`kitrec COMMAND --help` prints the same. {GENERATED}"]
    for name, command in _commands(typer.main.get_command(app), "kitrec"):
        parts += [f"## {name}", inspect.cleandoc(command.help or "")]
        rows = [_parameter(each) for each in command.params if each.name != "help"]
        parts += [table(["argument", "default", "meaning"], rows)] if rows else []
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the full name and the command of every leaf, in the order of `--help`."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for each, child in command.commands.items():
        yield from _commands(child, f"{name} {each}")


def _parameter(each: Any) -> list[str]:
    """Return the row of an argument or option."""
    option = each.param_type_name == "option"
    name = (
        ", ".join(f"`{flag}`" for flag in [*each.opts, *each.secondary_opts])
        if option
        else f"`{(each.metavar or each.name).upper()}`"
    )
    default = "required" if each.required else "" if each.default in (None, False, ()) else f"`{each.default}`"
    return [name, default, getattr(each, "help", None) or ""]


@cache
def tables_page() -> str:
    """Return the schema of every table that stages exchange."""
    parts = ["# Tables", f"The contracts between stages: parquet files, checked on every write and read. {GENERATED}"]
    for module in pkgutil.iter_modules(kitrec.schemas.__path__):
        loaded = importlib.import_module(f"kitrec.schemas.{module.name}")
        schemas = [value for value in vars(loaded).values() if isinstance(value, Table)]
        for schema in schemas:
            parts += [f"## {schema.name}", inspect.cleandoc(loaded.__doc__ or ""), _key(schema)]
            parts.append(table(["column", "type", "may be empty"], _columns(schema)))
            parts += ["\n".join(f"* {rule}" for rule in schema.rules)] if schema.rules else []
    return "\n\n".join(parts) + "\n"


def _key(schema: Table) -> str:
    return f"Key: {', '.join(f'`{name}`' for name in schema.key)}."


def _columns(schema: Table) -> list[list[str]]:
    rows = []
    for name, kind in schema.columns.items():
        shown = re.sub(r"\(.*", "", str(kind)) if "Struct" in str(kind) else str(kind)
        rows.append([f"`{name}`", shown, "yes" if name in schema.nullable else ""])
    return rows


@cache
def python_page() -> str:
    """Return the public functions with their signatures."""
    example = inspect.cleandoc(kitrec.__doc__ or "")
    parts = ["# Python", example, GENERATED, "## kitrec.load_run", *_described(kitrec.load_run, "load_run")]
    for cls in (kitrec.Run, kitrec.User):
        parts += [f"## kitrec.{cls.__name__}", inspect.cleandoc(cls.__doc__ or "")]
        for name, member in _public(cls):
            parts += [f"### {name}", *_described(member, name)]
    fields = [[f"`{name}`", comment] for name, comment in _fields(inspect.getsource(kitrec.User))]
    return "\n\n".join([*parts, table(["field", "columns"], fields)]) + "\n"


def _public(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods and properties of a class that do not begin with an underscore."""
    for name, member in vars(cls).items():
        if not name.startswith("_") and (callable(member) or hasattr(member, "fget") or hasattr(member, "func")):
            yield name, member


def _described(member: Any, name: str) -> list[str]:
    """Return the signature, of a method or function, and the docstring."""
    function = getattr(member, "fget", None) or getattr(member, "func", None)
    doc = inspect.cleandoc((function or member).__doc__ or "")
    if function:
        return [doc]
    signature = re.sub(r"\bpolars\.dataframe\.frame\.", "pl.", str(inspect.signature(member))).replace("self, ", "")
    return [f"```python\n{name}{re.sub(r'(kitrec.run|pathlib|typing).', '', signature)}\n```", doc]


def _fields(source: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a dataclass with the comments behind them."""
    for match in re.finditer(r"^    (\w+): \S+(?:  # (.*))?$", source, re.MULTILINE):
        yield match[1], match[2] or ""
