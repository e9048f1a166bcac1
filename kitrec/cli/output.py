"""How commands print: tables for people, --json for programs, --csv for spreadsheets, all three from one `Sheet`.

`@prints_tables` gives a command the two options. Inside it `table` and `note` print at once, or collect:
--json prints {"tables": {name: [row, ...]}, "notes": [...]}, every figure with all its digits; --csv prints each table
with its header, several of them under their names with an empty line between, and the notes go to standard error.
In a terminal a table is never cut: long names wrap, and where the columns do not fit, each row becomes a block."""

import csv
import functools
import inspect
import json
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kitrec.core.errors import InputError

Row = Mapping[str, Any]
Cell = Callable[[Row], str | Text]
Form = Literal["text", "json", "csv"]
NARROWEST = 14  # characters that a wrapped column of text keeps; with less a row becomes a block
AS_JSON = Annotated[bool, typer.Option("--json", help="print JSON, every figure with all its digits")]
AS_CSV = Annotated[bool, typer.Option("--csv", help="print CSV, every figure with all its digits")]


@dataclass(frozen=True)
class Sheet:
    """A table: its rows with all figures, and the cells that people see of them, by header."""

    name: str  # in JSON and CSV
    title: str
    rows: Sequence[Row]
    cells: Mapping[str, Cell]
    texts: Collection[str] = ()  # headers of text, which is left-aligned and wraps; the other columns are numbers
    ends: Collection[int] = ()  # rows below which a line is drawn
    figures: Sequence[Row] | None = None  # what JSON and CSV hold, if that is not the rows

    @property
    def all_figures(self) -> Sequence[Row]:
        """Return the rows of JSON and CSV."""
        return self.rows if self.figures is None else self.figures


@dataclass
class _Collected:
    """What a command has printed, if it is not printed at once."""

    form: Form
    sheets: list[Sheet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_COLLECTED: ContextVar[_Collected | None] = ContextVar("collected", default=None)


def prints_tables(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --json and --csv."""

    @functools.wraps(command)
    def printing(*args: Any, as_json: bool = False, as_csv: bool = False, **options: Any) -> None:
        if as_json and as_csv:
            raise InputError("--json and --csv: choose one of them")
        collected = _Collected("json" if as_json else "csv" if as_csv else "text")
        token = _COLLECTED.set(collected)
        try:
            command(*args, **options)
        except typer.Exit:  # the checks of doctor end so: what they say is printed first
            _print_collected(collected)
            raise
        finally:
            _COLLECTED.reset(token)
        _print_collected(collected)

    forms = {"as_json": AS_JSON, "as_csv": AS_CSV}
    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in forms.items()
    ]
    printing.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    printing.__annotations__ = {**inspect.get_annotations(command, eval_str=True), **forms}
    return printing


def table(sheet: Sheet) -> None:
    """Print a table, or keep it for --json and --csv."""
    collected = _COLLECTED.get()
    if collected and not is_text():
        collected.sheets.append(sheet)
    else:
        print_sheet(sheet, Console())


def is_text() -> bool:
    """Return whether people read what the command prints: progress bars are for them alone."""
    collected = _COLLECTED.get()
    return collected is None or collected.form == "text"


def plain(content: str, sheet: Sheet) -> None:
    """Print a table in a form of its own, such as Markdown; with --json and --csv the sheet."""
    collected = _COLLECTED.get()
    if collected and not is_text():
        collected.sheets.append(sheet)
    else:
        print(content)


def note(text: str, *, wrap: bool = True) -> None:
    """Print a sentence beside the tables; with --csv to standard error, with --json among the notes.

    Commands and texts of models are not wrapped, so that they can be copied."""
    collected = _COLLECTED.get()
    if collected is None or is_text():
        Console(highlight=False).print(Text(text), soft_wrap=not wrap)
    elif collected.form == "csv":
        print(text, file=sys.stderr)
    else:
        collected.notes.append(text)


def print_sheet(sheet: Sheet, console: Console) -> None:
    """Print a table as wide as the terminal, or its rows as blocks where the columns do not fit."""
    rows = [{header: _text(cell(row)) for header, cell in sheet.cells.items()} for row in sheet.rows]
    if _narrowest(sheet, rows) > console.width:
        _print_blocks(sheet, rows, console)
        return
    made = Table(title=Text(sheet.title) if sheet.title else None, box=box.SIMPLE_HEAD, title_justify="left")
    for header in sheet.cells:
        is_text = header in sheet.texts
        made.add_column(header, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    for number, row in enumerate(rows):
        made.add_row(*row.values(), end_section=number in sheet.ends)
    console.print(made)


def number(key: str, form: str = ".3f") -> Cell:
    """Return the cell of a figure; a dash where there is none."""
    return lambda row: "–" if row[key] is None else format(row[key], form)


def text(key: str) -> Cell:
    """Return the cell of a text."""
    return lambda row: str(row[key])


def interval(low: float | None, high: float | None, form: str = ".3f") -> str:
    """Return an interval in brackets, without the zeros before the points."""
    if low is None or high is None:
        return ""
    return "[" + ", ".join(_short(format(bound, form)) for bound in (low, high)) + "]"


def flat_rows(columns: Sequence[str], values: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows of values by the names of their columns."""
    return [dict(zip(columns, row, strict=True)) for row in values]


def text_sheet(name: str, title: str, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> Sheet:
    """Return a table whose columns are all texts."""
    return Sheet(name, title, flat_rows(columns, values), {column: text(column) for column in columns}, columns)


def _short(number: str) -> str:
    """Return `-0.012` as `-.012`."""
    sign, digits = (number[0], number[1:]) if number[0] in "+-" else ("", number)
    return sign + (digits[1:] if digits.startswith("0.") else digits)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _narrowest(sheet: Sheet, rows: Sequence[Mapping[str, Text]]) -> int:
    """Return the width below which a table could not be read."""
    widths = 0
    for header in sheet.cells:
        longest = max([cell_len(header), *(cell_len(row[header].plain) for row in rows)])
        widths += (min(longest, NARROWEST) if header in sheet.texts else longest) + 3
    return widths


def _print_blocks(sheet: Sheet, rows: Sequence[Mapping[str, Text]], console: Console) -> None:
    if sheet.title:
        console.print(Text(sheet.title, style="italic"))
    width = max(map(cell_len, sheet.cells))
    for row in rows:
        (first, head), *others = row.items()
        console.print(Text.assemble(f"\n  {first}: ", head), soft_wrap=True)
        for header, cell in others:
            console.print(Text.assemble(f"    {header:<{width}}  ", cell), soft_wrap=True)
    console.print()


def _print_collected(collected: _Collected) -> None:
    if collected.form == "json":
        if not (collected.sheets or collected.notes):
            return  # one of several processes of which another one prints
        made = {sheet.name: [_json_row(row) for row in sheet.all_figures] for sheet in collected.sheets}
        content = {"tables": made, "notes": collected.notes}
        print(json.dumps(content, indent=2, ensure_ascii=False, default=str))
    elif collected.form == "csv":
        several = len(collected.sheets) > 1
        for place, sheet in enumerate(collected.sheets):
            print("\n" * bool(place) + f"{sheet.name}\n" * several, end="")
            _print_csv(sheet)


def _json_row(row: Row) -> dict[str, Any]:
    """Return a row without NaN and infinity, which JSON does not have."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def _print_csv(sheet: Sheet) -> None:
    rows = sheet.all_figures
    columns = dict.fromkeys(column for row in rows for column in row) or dict.fromkeys(sheet.cells)
    writer = csv.DictWriter(sys.stdout, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
