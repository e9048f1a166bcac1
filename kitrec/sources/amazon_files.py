"""Raw files of Amazon Reviews 2023 (Hou et al. 2024), block by block: every line is either read or set aside.

`.jsonl`, `.jsonl.gz` or parquet. Only the newline byte ends a line. A block is parsed at once, all fields as text,
because the files mix numbers, strings and lists; a block with a broken line is halved until the line is found."""

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import orjson
import polars as pl
from isal import igzip
from tqdm import tqdm

from kitrec.core.errors import InputError
from kitrec.sources.quarantine import Quarantine

BLOCK = 32 * 2**20  # bytes of text parsed at once
PARQUET_ROWS = 200_000
SEPARATOR = "\x1f"  # the unit separator; as a control character it is no part of any text that is kept


def read_blocks(
    path: Path, fields: Sequence[str], quarantine: Quarantine, *, nested: bool, quiet: bool
) -> Iterator[pl.DataFrame]:
    """The named fields of all lines as text, with the line's number in `line`. Where they may be `nested`, lists of
    strings are joined by SEPARATOR and objects come as JSON; that is slower (polars would not escape them)."""
    if path.suffix == ".parquet":
        yield from _parquet(path, fields, quarantine)
        return
    parse = _line_by_line if nested else _at_once
    for first, block in _blocks(path, quiet=quiet):
        yield from parse(path, first, block, fields, quarantine)


def _line_by_line(
    path: Path, first: int, block: bytes, fields: Sequence[str], quarantine: Quarantine
) -> Iterator[pl.DataFrame]:
    rows = []
    for line, raw in enumerate(block.split(b"\n"), start=first):
        if raw.strip():
            quarantine.read += 1
            rows += _row(path, line, raw, fields, quarantine)
    yield pl.DataFrame(rows, schema={**dict.fromkeys(fields, pl.String), "line": pl.Int64}, orient="row")


def _row(
    path: Path, line: int, raw: bytes, fields: Sequence[str], quarantine: Quarantine
) -> list[tuple[str | int | None, ...]]:
    """The line's fields, or nothing if it was set aside."""
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        quarantine.reject(path, line, "broken JSON or text", str(problem)[:80])
        return []
    if not isinstance(row, dict):
        quarantine.reject(path, line, "broken JSON or text", "not an object")
        return []
    return [(*(_value_as_text(row.get(name)) for name in fields), line)]


def _value_as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return SEPARATOR.join(part for part in value if isinstance(part, str))
    return orjson.dumps(value).decode()


def _blocks(path: Path, *, quiet: bool) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines) in turn; the bar counts bytes of the file as it lies on disk."""
    first, rest = 1, b""
    try:
        with (
            path.open("rb") as raw,
            igzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as stream,
            ThreadPoolExecutor(1) as ahead,
            tqdm(total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, disable=quiet) as bar,
        ):
            pending = ahead.submit(stream.read, BLOCK)
            while piece := pending.result():
                pending = ahead.submit(stream.read, BLOCK)  # unpacked while this block is parsed
                bar.update(raw.tell() - bar.n)
                head, newline, tail = (rest + piece).rpartition(b"\n")
                if newline:
                    yield first, head + newline
                    first += head.count(b"\n") + 1
                rest = tail
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise InputError(f"{path} is cut or damaged behind line {first}: {problem}; fetch the file again") from None
    except FileNotFoundError:
        raise InputError(f"{path} is missing: it is one of the raw files that raw/README.md lists") from None
    if rest.strip():
        yield first, rest


def _at_once(
    path: Path, first: int, block: bytes, fields: Sequence[str], quarantine: Quarantine
) -> Iterator[pl.DataFrame]:
    """The lines of a block; a block that cannot be parsed is halved until the broken line stands alone."""
    if not block.strip():
        return
    lines = block.rstrip(b"\n").split(b"\n")
    try:
        frame = pl.read_ndjson(io.BytesIO(block), schema=dict.fromkeys(fields, pl.String))
    except pl.exceptions.ComputeError as problem:
        if len(lines) == 1:
            quarantine.read += 1
            quarantine.reject(path, first, "broken JSON or text", str(problem)[:80])
            return
        middle = len(lines) // 2
        yield from _at_once(path, first, b"\n".join(lines[:middle]), fields, quarantine)
        yield from _at_once(path, first + middle, b"\n".join(lines[middle:]), fields, quarantine)
        return
    quarantine.read += frame.height
    numbers: Sequence[int] = range(first, first + len(lines))
    if frame.height < len(lines):  # blank lines are passed over
        numbers = [k for k, line in zip(numbers, lines, strict=True) if line.strip()]
    yield frame.with_columns(line=pl.Series(numbers, dtype=pl.Int64))


def _parquet(path: Path, fields: Sequence[str], quarantine: Quarantine) -> Iterator[pl.DataFrame]:
    import pyarrow.parquet as pq

    first = 1
    for batch in pq.ParquetFile(path).iter_batches(PARQUET_ROWS):
        frame = pl.DataFrame(batch)
        quarantine.read += frame.height
        missing = [name for name in fields if name not in frame.columns]
        if missing:
            raise InputError(f"{path} has no column {', '.join(missing)}")
        texts = [_as_text(frame[name]) for name in fields]
        yield pl.DataFrame(texts).with_columns(line=pl.int_range(pl.len()) + first)
        first += frame.height


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.List:
        return column.cast(pl.List(pl.String)).list.join(SEPARATOR, ignore_nulls=True)
    return column.cast(pl.String)
