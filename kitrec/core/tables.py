"""Typed, atomic reading and writing of tables: the contracts between stages.

A table's schema stands beside the code that writes it; here is only the checking, on write and on read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files
from kitrec.core.errors import InputError


@dataclass(frozen=True)
class Table:
    """A contract: its columns with their types, the key that names a row, the columns that may be null, and what must
    hold in every row (rule in words -> expression; null counts as kept)."""

    name: str
    columns: Mapping[str, Any]
    key: tuple[str, ...]
    nullable: frozenset[str] = field(default_factory=frozenset)
    rules: Mapping[str, pl.Expr] = field(default_factory=dict)


def stars(column: str) -> dict[str, pl.Expr]:
    """The rule that a column's ratings are from 1 to 5."""
    return {f"{column} are from 1 to 5": pl.col(column).is_between(1, 5)}


def list_of_stars(column: str) -> dict[str, pl.Expr]:
    """The same for a column of lists."""
    every = pl.col(column).list
    return {f"{column} are from 1 to 5": every.min().is_between(1, 5) & every.max().is_between(1, 5)}


def frame(rows: list[dict[str, Any]], table: Table) -> pl.DataFrame:
    """Rows as a frame of the table's columns."""
    return pl.DataFrame(rows, schema=dict(table.columns), strict=True)


def write(frame: pl.DataFrame, path: Path, table: Table) -> None:
    """Write the frame as parquet if it keeps the contract."""
    _check(frame, table, str(path))
    with files.whole(path) as draft:
        frame.write_parquet(draft, compression="zstd")


def write_all(frames: Mapping[str, pl.DataFrame], folder: Path, table: Table) -> None:
    """Write a folder of tables (name -> frame) that appears as a whole or not at all."""
    with files.whole(folder) as draft:
        for name, frame in frames.items():
            write(frame, draft / f"{name}.parquet", table)


def read(path: Path, table: Table) -> pl.DataFrame:
    """Read a parquet file that keeps the contract."""
    try:
        found = pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` writes it, or `dvc pull` fetches it") from None
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(f"{path} is not a whole parquet file ({problem}): remove it and run `dvc repro`") from None
    _check(found, table, str(path))
    return found


def _check(frame: pl.DataFrame, table: Table, where: str) -> None:
    """Raise with everything that breaks the contract."""
    wrong = []
    for name, dtype in table.columns.items():
        if name not in frame.columns:
            wrong.append(f"column {name} is missing")
        elif frame.schema[name] != dtype:
            wrong.append(f"column {name} is {frame.schema[name]}, must be {dtype}")
        elif name not in table.nullable and frame[name].null_count():
            wrong.append(f"column {name} has {frame[name].null_count()} empty values")
    wrong += [f"column {name} is unknown" for name in frame.columns if name not in table.columns]
    if not wrong and frame.select(table.key).is_duplicated().any():
        wrong.append(f"two rows have the same {', '.join(table.key)}")
    if not wrong and table.rules:
        broken = frame.select((~rule.fill_null(True)).sum().alias(words) for words, rule in table.rules.items())
        wrong += [
            f"{count} rows break the rule that {words}" for words, count in broken.row(0, named=True).items() if count
        ]
    if wrong:
        raise InputError(f"{where} is no `{table.name}` table: {'; '.join(wrong)}")
