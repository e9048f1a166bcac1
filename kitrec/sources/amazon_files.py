"""Raw files of Amazon Reviews 2023 (Hou et al. 2024), read block by block: every line is either parsed or rejected.

`.jsonl`, `.jsonl.gz` or parquet; reviews also `.csv` or `.csv.gz`, the rating-only files. Only the newline byte ends a
line. A block is parsed as a whole, all fields as text, because the files mix numbers, strings and lists; a block of
JSON with a broken line is bisected until the line is found."""

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

BLOCK = 32 * 2**20  # bytes of text parsed as a whole
PARQUET_ROWS = 200_000
SEPARATOR = "\x1f"  # the unit separator; cleaned texts hold no control characters


def read_blocks(
    path: Path, fields: Sequence[str], quarantine: Quarantine, *, nested: bool, quiet: bool
) -> Iterator[pl.DataFrame]:
    """Yield the named fields of all lines as text, with line numbers in `line`. With `nested`, lists of strings are
    joined by SEPARATOR and objects are kept as JSON, which is slower (polars would not escape them)."""
    if path.suffix == ".parquet":
        yield from _parquet(path, fields, quarantine)
        return
    if ".csv" in path.suffixes:
        yield from _csv(path, fields, quarantine, quiet=quiet)
        return
    parse = _parse_lines if nested else _parse_block
    for first, block in _read_lines(path, quiet=quiet):
        yield from parse(path, first, block, fields, quarantine)


def _csv(path: Path, fields: Sequence[str], quarantine: Quarantine, *, quiet: bool) -> Iterator[pl.DataFrame]:
    """Yield the named columns of a table whose first line names its columns and whose cells need no quotes."""
    columns: list[str] = []
    for first, block in _read_lines(path, quiet=quiet):
        number, rows = first, block
        if not columns:
            header, _, rows = block.partition(b"\n")
            columns, number = _columns(path, header, fields), first + 1
        yield _split_rows(path, number, rows, columns, quarantine).select(*fields, "line")


def _columns(path: Path, header: bytes, fields: Sequence[str]) -> list[str]:
    columns = header.decode("utf-8-sig", errors="replace").strip().split(",")
    if missing := [name for name in fields if name not in columns]:
        raise InputError(
            f"{path} has no column {', '.join(missing)}: a rating-only file begins with "
            f"user_id,parent_asin,rating,timestamp, this one with {header[:60].decode(errors='replace')!r}"
        )
    return columns


def _split_rows(path: Path, first: int, block: bytes, columns: list[str], quarantine: Quarantine) -> pl.DataFrame:
    """Return the rows of a block of CSV; those of another number of cells, or of broken text, are rejected."""
    lines = pl.Series(block.decode("utf-8", errors="replace").split("\n"), dtype=pl.String).str.strip_chars_end("\r")
    rows = pl.DataFrame({"line": pl.int_range(first, first + len(lines), eager=True), "text": lines})
    rows = rows.filter(pl.col("text").str.strip_chars() != "").with_columns(cells=pl.col("text").str.split(","))
    quarantine.read += rows.height
    whole = (pl.col("cells").list.len() == len(columns)) & ~pl.col("text").str.contains("\ufffd", literal=True)
    for line, cells in rows.filter(~whole).select("line", pl.col("cells").list.len()).iter_rows():
        quarantine.reject(path, line, "broken CSV or text", f"{cells} cells, {len(columns)} columns")
    cells = [pl.col("cells").list.get(k).alias(name) for k, name in enumerate(columns)]
    return rows.filter(whole).select("line", *cells)


def _parse_lines(
    path: Path, first: int, block: bytes, fields: Sequence[str], quarantine: Quarantine
) -> Iterator[pl.DataFrame]:
    rows = []
    for line, raw in enumerate(block.split(b"\n"), start=first):
        if raw.strip():
            quarantine.read += 1
            rows += _parse_row(path, line, raw, fields, quarantine)
    yield pl.DataFrame(rows, schema={**dict.fromkeys(fields, pl.String), "line": pl.Int64}, orient="row")


def _parse_row(
    path: Path, line: int, raw: bytes, fields: Sequence[str], quarantine: Quarantine
) -> list[tuple[str | int | None, ...]]:
    """Return the fields of a line, or nothing if it was rejected."""
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


def _read_lines(path: Path, *, quiet: bool) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, complete lines); the progress bar counts bytes of the file on disk."""
    first, incomplete = 1, b""
    try:
        with (
            path.open("rb") as raw,
            igzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as stream,
            ThreadPoolExecutor(1) as executor,
            tqdm(total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True, disable=quiet) as progress,
        ):
            pending = executor.submit(stream.read, BLOCK)
            while piece := pending.result():
                pending = executor.submit(stream.read, BLOCK)  # decompressed while this block is parsed
                progress.update(raw.tell() - progress.n)
                head, newline, tail = (incomplete + piece).rpartition(b"\n")
                if newline:
                    yield first, head + newline
                    first += head.count(b"\n") + 1
                incomplete = tail
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise InputError(f"{path} is cut or damaged behind line {first}: {problem}; fetch the file again") from None
    except FileNotFoundError:
        raise InputError(f"{path} is missing: it is one of the raw files that raw/README.md lists") from None
    if incomplete.strip():
        yield first, incomplete


def _parse_block(
    path: Path, first: int, block: bytes, fields: Sequence[str], quarantine: Quarantine
) -> Iterator[pl.DataFrame]:
    """Yield the parsed lines of a block; one that cannot be parsed is bisected until the broken line is isolated."""
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
        yield from _parse_block(path, first, b"\n".join(lines[:middle]), fields, quarantine)
        yield from _parse_block(path, first + middle, b"\n".join(lines[middle:]), fields, quarantine)
        return
    quarantine.read += frame.height
    numbers: Sequence[int] = range(first, first + len(lines))
    if frame.height < len(lines):  # blank lines are skipped
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
