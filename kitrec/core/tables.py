"""Typed, atomic reading and writing of the tables exchanged between stages; validated on every write and read.

The schemas themselves stand in kitrec/schemas."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files
from kitrec.core.errors import InputError


@dataclass(frozen=True)
class Table:
    """Schema of a table: typed columns, the primary key, nullable columns, and rules that every row must satisfy
    (description -> expression; a null result counts as satisfied)."""

    name: str
    columns: Mapping[str, Any]
    key: tuple[str, ...]
    nullable: frozenset[str] = field(default_factory=frozenset)
    rules: Mapping[str, pl.Expr] = field(default_factory=dict)

    def without(self, names: Collection[str]) -> "Table":
        """Return the schema of the other columns."""
        columns = {name: dtype for name, dtype in self.columns.items() if name not in names}
        rules = {name: rule for name, rule in self.rules.items() if columns.keys() >= set(rule.meta.root_names())}
        return replace(self, columns=columns, rules=rules)


def rating_rule(column: str) -> dict[str, pl.Expr]:
    """Rule that the ratings of a column are from 1 to 5."""
    return {f"{column} are from 1 to 5": pl.col(column).is_between(1, 5)}


def list_rating_rule(column: str) -> dict[str, pl.Expr]:
    """Rule that all ratings of a list column are from 1 to 5."""
    ratings = pl.col(column).list
    return {f"{column} are from 1 to 5": ratings.min().is_between(1, 5) & ratings.max().is_between(1, 5)}


def from_rows(rows: list[dict[str, Any]], table: Table) -> pl.DataFrame:
    """Build a frame with the columns of the table."""
    return pl.DataFrame(rows, schema=dict(table.columns), strict=True)


def write(frame: pl.DataFrame, path: Path, table: Table) -> None:
    """Write the frame as parquet; raise if it violates the schema."""
    _check(frame, table, str(path))
    with files.atomic(path) as draft:
        frame.write_parquet(draft, compression="zstd")


def write_all(frames: Mapping[str, pl.DataFrame], folder: Path, table: Table) -> None:
    """Write a folder of tables (name -> frame) atomically."""
    with files.atomic(folder) as draft:
        for name, frame in frames.items():
            write(frame, draft / f"{name}.parquet", table)


def read(path: Path, table: Table, *, leave_out: Collection[str] = ()) -> pl.DataFrame:
    """Read a parquet file, without some of its columns; raise if it violates the schema."""
    try:
        kept = [name for name in pl.read_parquet_schema(path) if name not in leave_out] if leave_out else None
        frame = pl.read_parquet(path, columns=kept)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` writes it, or `dvc pull` fetches it") from None
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(f"{path} is not a whole parquet file ({problem}): remove it and run `dvc repro`") from None
    _check(frame, table.without(leave_out), str(path))
    return frame


def _check(frame: pl.DataFrame, table: Table, where: str) -> None:
    """Raise with every violation of the schema."""
    violations = []
    for name, dtype in table.columns.items():
        if name not in frame.columns:
            violations.append(f"column {name} is missing")
        elif frame.schema[name] != dtype:
            violations.append(f"column {name} is {frame.schema[name]}, must be {dtype}")
        elif name not in table.nullable and frame[name].null_count():
            violations.append(f"column {name} has {frame[name].null_count()} empty values")
    violations += [f"column {name} is unknown" for name in frame.columns if name not in table.columns]
    if not violations and frame.select(table.key).is_duplicated().any():
        violations.append(f"two rows have the same {', '.join(table.key)}")
    if not violations and table.rules:
        broken = frame.select((~rule.fill_null(True)).sum().alias(name) for name, rule in table.rules.items())
        violations += [
            f"{count} rows break the rule that {name}" for name, count in broken.row(0, named=True).items() if count
        ]
    if violations:
        raise InputError(f"{where} is no `{table.name}` table: {'; '.join(violations)}")
