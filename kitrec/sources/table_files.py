"""Tables of the user's own: `.tsv` (read without quoting, since titles hold quotation marks), `.csv` or `.parquet`.

All fields are text, an empty one is null; every row carries the number of its line. A row that has more or fewer fields
than the header, or bytes that are no text, goes to the quarantine."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from kitrec.core.errors import InputError
from kitrec.sources.quarantine import Quarantine

SUFFIXES = (".tsv", ".csv", ".parquet")
LIST_SEPARATOR = "|"
_DAMAGED = "\N{REPLACEMENT CHARACTER}"


def find_table(folder: Path, stem: str) -> Path | None:
    """Return the file of a table, None if there is none; two of them are an error."""
    existing = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").exists()]
    if len(existing) > 1:
        raise InputError(f"{' and '.join(map(str, existing))}: the same table twice; remove one")
    return existing[0] if existing else None


def read_table(path: Path, required: Sequence[str], optional: Sequence[str], quarantine: Quarantine) -> pl.DataFrame:
    """Return the named columns and `line`; optional columns that the file lacks are null."""
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path, quarantine)
    missing = [name for name in required if name not in rows.columns]
    if missing:
        raise InputError(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(c for c in rows.columns if c != 'line')}"
        )
    quarantine.read += rows.height
    absent = [pl.lit(None, pl.String).alias(name) for name in optional if name not in rows.columns]
    texts = rows.with_columns(absent).select(
        "line", *(pl.col(name).str.strip_chars().replace("", None) for name in (*required, *optional))
    )
    if texts.is_empty():
        raise InputError(f"{path} has no row")
    return texts


def reject_rows(path: Path, rows: pl.DataFrame, reason: pl.Expr, quarantine: Quarantine) -> pl.DataFrame:
    """Send the rows with a reason to the quarantine and return the others."""
    checked = rows.with_columns(reason=reason)
    for line, why in checked.filter(pl.col("reason").is_not_null()).select("line", "reason").iter_rows():
        quarantine.reject(path, line, why)
    return checked.filter(pl.col("reason").is_null()).drop("reason")


def _read_text(path: Path, quarantine: Quarantine) -> pl.DataFrame:
    content = path.read_bytes()
    text = content.decode("utf-8-sig", errors="replace")
    damaged = text.encode() not in (content, content.removeprefix(b"\xef\xbb\xbf"))
    cells, lines = _tsv_cells(text) if path.suffix == ".tsv" else _csv_cells(text)
    if not len(cells):
        raise InputError(f"{path} is empty")
    header = [name.strip().lower() for name in cells[0]]
    if len(set(header)) < len(header):
        raise InputError(f"{path} names a column twice: {', '.join(header)}")
    rows = pl.DataFrame({"line": lines, "cells": cells}, schema={"line": pl.Int64, "cells": pl.List(pl.String)})
    rows = rows.slice(1).filter(pl.col("cells").list.join("") != "")
    width, any_damage = pl.col("cells").list.len(), pl.col("cells").list.join("").str.contains(_DAMAGED, literal=True)
    reason = (
        pl.when(width != len(header))
        .then(pl.format("{} fields instead of " + str(len(header)), width))
        .when(damaged & any_damage)
        .then(pl.lit("bytes that are no UTF-8"))
    )
    before = len(quarantine.rejects)
    whole = reject_rows(path, rows, reason, quarantine)
    quarantine.read += len(quarantine.rejects) - before
    fields = [pl.col("cells").list.get(k, null_on_oob=True).alias(name) for k, name in enumerate(header)]
    return whole.select("line", *fields)


def _tsv_cells(text: str) -> tuple[pl.Series, Sequence[int]]:
    lines = pl.Series(text.split("\n"), dtype=pl.String).str.strip_chars_end("\r")
    return lines.str.split("\t"), range(1, len(lines) + 1)


def _csv_cells(text: str) -> tuple[pl.Series, Sequence[int]]:
    parsed, rows, lines = csv.reader(io.StringIO(text, newline="")), [], []
    try:
        for row in parsed:
            rows.append(row)
            lines.append(parsed.line_num)
    except csv.Error as problem:
        raise InputError(f"line {parsed.line_num} of the CSV cannot be read: {problem}") from None
    return pl.Series(rows, dtype=pl.List(pl.String)), lines


def _read_parquet(path: Path) -> pl.DataFrame:
    """Return a parquet file with lower-case names and all columns as text; lists are joined as in text files."""
    try:
        rows = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(f"{path} is no parquet file: {problem}") from None
    rows = rows.rename({name: name.strip().lower() for name in rows.columns})
    texts = [
        pl.col(name).cast(pl.List(pl.String)).list.join(LIST_SEPARATOR)
        if isinstance(dtype, pl.List)
        else pl.col(name).cast(pl.String)
        for name, dtype in rows.schema.items()
        if name != "line"
    ]
    return rows.select(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line"), *texts)
