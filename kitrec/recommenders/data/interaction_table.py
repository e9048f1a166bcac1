"""Tables of interactions as other projects write them, read as text: their separator, their header, their names.

    user,item,time     user_id,item_id,rating,timestamp          and the like
    userId,movieId,rating,timestamp             MovieLens csv
    user_id:token <tab> item_id:token <tab> timestamp:float                RecBole's .inter
    196 <tab> 242 <tab> 3 <tab> 881250949       u.data of MovieLens-100K: no header, user, item, rating, time
    1::1193::5::978300760                       ratings.dat of MovieLens-1M

A column is known by its name without case, underscores and RecBole's type; an exact `user`, `item` or `time` wins, two
other candidates are refused. `columns` names them instead, by header or (from 1) by position."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_times import is_time

NAMES = {
    "user": "user userid uid reviewerid customerid visitorid memberid sessionid session",
    "item": "item itemid iid movieid asin parentasin productid bookid artistid songid trackid businessid gameid newsid",
    "time": "time timestamp ts unixtime unixtimestamp unixreviewtime datetime date createdat eventtime",
}
MAPPING = "--columns user=NAME,item=NAME,time=NAME"
SHOWN = 4  # names in a message
_UNIT_SEPARATOR = "\x1f"  # stands for `::`, which is no single character


@dataclass(frozen=True)
class InteractionTable:
    rows: pl.DataFrame  # line, and the text of user, item, time; without times that of the line's number
    notice: str  # which columns were taken, where their names are not ours
    has_times: bool


def read_table(path: Path, columns: Mapping[str, str] | None = None) -> InteractionTable:
    """Read user, item and time of every line that holds anything; `columns` maps them to names or positions."""
    first = _first_line(path)
    separator = _separator(first)
    cells = _cells(first, separator)
    columns = dict(columns or {})
    named = any(_by_name(cells, role) for role in NAMES) or any(name in cells for name in columns.values())
    has_header = named or not any(is_time(cell) or _is_number(cell) for cell in cells)
    chosen = _chosen(path, cells, columns, has_header=has_header)
    table = _parsed(path, separator, len(cells), has_header=has_header)
    lines = table.with_row_index("line", offset=2 if has_header else 1)
    filled = lines.filter(~pl.all_horizontal(pl.exclude("line").is_null()))
    names = {role: table.columns[position] for role, position in chosen.items()}
    rows = filled.select("line", **{role: pl.col(name) for role, name in names.items()})
    notice = _notice(cells, chosen, has_header=has_header)
    if "time" in chosen:
        return InteractionTable(rows, notice, has_times=True)
    without = f"no column is a time ({', '.join(cells)}): the order of the file counts; or name it by {MAPPING}"
    notice = f"{notice}\n{without}" if notice else without
    return InteractionTable(rows.with_columns(time=pl.col("line").cast(pl.String)), notice, has_times=False)


def parse_columns(options: Sequence[str]) -> dict[str, str]:
    """Return the mapping of options such as `user=userId,item=movieId`."""
    columns: dict[str, str] = {}
    for part in (part for option in options for part in option.split(",")):
        role, equals, name = (text.strip() for text in part.partition("="))
        if role not in NAMES or not equals or not name:
            raise InputError(f"--columns {part}: write {MAPPING}, with a header's names or positions from 1")
        columns[role] = name
    return columns


def _first_line(path: Path) -> str:
    usage = "give a CSV or TSV with the columns user, item, time"
    try:
        with path.open(encoding="utf-8-sig") as stream:
            first = stream.readline().rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {usage}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} is no table ({problem}): {usage}") from None
    if not first.strip():
        raise InputError(f"{path} begins with an empty line: {usage}")
    return first


def _separator(first: str) -> str:
    if "::" in first:
        return "::"
    if "\t" in first:
        return "\t"
    if "," in first or ";" in first:
        return ";" if first.count(";") > first.count(",") else ","
    return " " if len(first.split(" ")) > 2 else ","


def _cells(first: str, separator: str) -> list[str]:
    if separator in (",", ";"):
        return [cell.strip() for cell in next(csv.reader([first], delimiter=separator))]
    return [cell.strip() for cell in first.split(separator)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _chosen(path: Path, cells: list[str], columns: dict[str, str], *, has_header: bool) -> dict[str, int]:
    """Return the position of each column; refuse the file with all that is missing or ambiguous."""
    if not has_header and not columns:
        return _by_known_layout(path, cells)
    problems, chosen = [], {}
    for role in NAMES:
        positions = _named(cells, columns[role]) if role in columns else _by_name(cells, role)
        if len(positions) == 1:
            chosen[role] = positions[0]
        elif role == "time" and not positions and role not in columns:
            continue  # the order of the file
        elif positions:
            problems.append(f"{role} could be {' or '.join(cells[k] for k in positions)}")
        else:
            sought = columns.get(role) or ", ".join([*NAMES[role].split()[:SHOWN], "..."])
            problems.append(f"lacks the column {role} (looked for {sought})")
    if problems:
        has = f"it has {', '.join(cells)}" if has_header else f"its first line is {', '.join(cells)}"
        raise InputError(f"{path}: {'; '.join(problems)}; {has}: name them by {MAPPING}")
    return chosen


def _named(cells: list[str], name: str) -> list[int]:
    if name in cells:
        return [cells.index(name)]
    return [int(name) - 1] if name.isdecimal() and 1 <= int(name) <= len(cells) else []


def _by_name(cells: list[str], role: str) -> list[int]:
    plain = [re.sub(r"[^a-z0-9]", "", re.sub(r":(token|float|token_seq)$", "", cell.lower())) for cell in cells]
    exact = [k for k, cell in enumerate(cells) if cell.lower() == role]
    return exact[:1] or [k for k, name in enumerate(plain) if name in NAMES[role].split()]


def _by_known_layout(path: Path, cells: list[str]) -> dict[str, int]:
    """Return the columns of a file without a header: user, item, time, or with a rating before the time."""
    if len(cells) in (3, 4) and is_time(cells[-1]):
        return {"user": 0, "item": 1, "time": len(cells) - 1}
    raise InputError(
        f"{path} has no header and no known layout (user, item, rating, time), its first line is {', '.join(cells)}: "
        "name the columns by position, e.g. --columns user=1,item=2,time=4"
    )


def _parsed(path: Path, separator: str, width: int, *, has_header: bool) -> pl.DataFrame:
    source: Path | io.BytesIO = path
    quote = '"' if separator in (",", ";") else None
    try:
        if separator == "::":
            source = io.BytesIO(path.read_bytes().replace(b"::", _UNIT_SEPARATOR.encode()))
        return pl.read_csv(
            source,
            separator=_UNIT_SEPARATOR if separator == "::" else separator,
            infer_schema=False,
            has_header=has_header,
            new_columns=[f"column {k}" for k in range(width)],  # positions count: a header may repeat a name
            quote_char=quote,
        )
    except (pl.exceptions.PolarsError, OSError) as problem:
        where = _longer_line(path, separator, width) or str(problem).split("\n", 1)[0]
        raise InputError(f"{path} is no table ({where}): give a CSV or TSV with the columns user, item, time") from None


def _longer_line(path: Path, separator: str, width: int) -> str:
    """Return where a line has more fields than the first; nothing if none has."""
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        quoted = separator in (",", ";")
        lines = csv.reader(stream, delimiter=separator) if quoted else (line.split(separator) for line in stream)
        for number, cells in enumerate(lines, start=1):
            if len(cells) > width:
                return f"line {number} has {len(cells)} fields, the first line {width}"
    return ""


def _notice(cells: list[str], chosen: Mapping[str, int], *, has_header: bool) -> str:
    if not has_header:
        return "no header: " + ", ".join(f"{role} is column {position + 1}" for role, position in chosen.items())
    renamed = {role: cells[position] for role, position in chosen.items() if cells[position] != role}
    return "columns: " + ", ".join(f"{role} is {name}" for role, name in renamed.items()) if renamed else ""
