"""Rows of KitREC's files before they are parsed, from JSONL or parquet: all, or the first of every user type."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC
from kitrec.sources.prompt_text import UnreadableError, parse_prompt, whole_prompt

Row = bytes | dict[str, Any]
PEEKED = 50  # rows that show how long the lists of a file are


class FirstRows:
    """The first `limit` rows of every user type in a group of files, which may be sorted by type; None: all rows.

    A row that cannot be decoded has no type; it is passed on, so that it is rejected."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.rows: Counter[str] = Counter()

    def of(self, path: Path) -> Iterator[tuple[int, Row]]:
        """Yield (row number from 1, row) of one of the files; reading stops when no type has room."""
        for number, raw in read_rows(path):
            if self.limit is None:
                yield number, raw
                continue
            if all(self.rows[user_type] >= self.limit for user_type in KITREC.user_types):
                return
            try:
                row = raw if isinstance(raw, dict) else decoded(raw)
            except UnreadableError:
                yield number, raw
                continue
            user_type = str(metadata_of(row).get("user_type"))
            if self.rows[user_type] < self.limit:
                self.rows[user_type] += 1
                yield number, row


def read_rows(path: Path, at_most: int | None = None) -> Iterator[tuple[int, Row]]:
    """Yield (row number from 1, row); only a newline byte ends a line, not Unicode line separators."""
    if path.suffix == ".parquet":
        yield from enumerate(pl.read_parquet(path, n_rows=at_most).iter_rows(named=True), start=1)
        return
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if raw.strip():
                yield number, raw


def decoded(raw: bytes) -> dict[str, Any]:
    """Return a row of JSON; raise UnreadableError if it is none."""
    try:
        row = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise UnreadableError(f"invalid UTF-8: {problem.reason} at byte {problem.start}") from None
    except ValueError as problem:
        raise UnreadableError(f"broken JSON: {problem}") from None
    if not isinstance(row, dict):
        raise UnreadableError("not a JSON object")
    return row


def metadata_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row's metadata, nested or flat."""
    nested = row.get("metadata")
    return nested if isinstance(nested, dict) else row


def list_length(paths: Iterable[Path]) -> int | None:
    """Return the number of candidates that most of the first rows list; None where none of them can be read."""
    lengths: Counter[int] = Counter()
    for path in paths:
        for _, raw in islice(read_rows(path, PEEKED), PEEKED):
            try:
                row = raw if isinstance(raw, dict) else decoded(raw)
                lengths[len(parse_prompt(whole_prompt(row)).candidates)] += 1
            except UnreadableError:
                continue
    return lengths.most_common(1)[0][0] if lengths else None
