"""Title vectors of user-supplied files, at four bytes a value: the file is read in blocks into a memory-mapped array.

An embeddings file holds item, then the numbers of its vector separated by spaces. Shapes: N items, d width."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.vocabulary import Vocabulary

BLOCK = 1 << 22  # bytes of the file in memory at once


def read_vectors(path: Path, vocabulary: Vocabulary) -> tuple[np.ndarray, pl.DataFrame]:
    """Return vectors [N + 2, d], zero for items without a row, and the rows (item, number, value as its hash)."""
    vectors, rows = np.zeros((len(vocabulary) + 2, 0), dtype=np.float32), []
    for block in _blocks(path):
        read = block.with_columns(pl.Series("number", vocabulary.numbers(block["item"])))
        texts = pl.when(pl.col("number") > 0).then(pl.col("value")).str.extract_all(r"\S+")
        parsed = read.with_columns(vector=texts.cast(pl.List(pl.Float32), strict=False))
        usable = pl.element().is_not_null() & pl.element().is_finite()
        parsed = parsed.with_columns(
            width=pl.col("vector").list.len(), broken=~pl.col("vector").list.eval(usable).list.all()
        )
        known = parsed.filter((pl.col("number") > 0) & ~pl.col("broken"))
        if known.height and not vectors.shape[1]:
            vectors = memory_mapped((len(vocabulary) + 2, int(known["width"].mode()[0])))
        fitting = known.filter(pl.col("width") == vectors.shape[1])
        if fitting.height:
            vectors[fitting["number"].to_numpy()] = fitting["vector"].explode().to_numpy().reshape(fitting.height, -1)
        rows.append(parsed.select("item", "number", "width", "broken", value=pl.col("value").hash()))
    return vectors, pl.concat(rows).unique(["item", "value"], keep="first", maintain_order=True)


def check_vectors(path: Path, rows: pl.DataFrame) -> None:
    """Refuse items with several vectors, and broken vectors; `rows` are those of known items."""
    duplicated = rows.filter(pl.len().over("number") > 1)["item"].unique(maintain_order=True)
    if len(duplicated):
        examples = ", ".join(duplicated.head(5))
        raise InputError(f"{path}: {len(duplicated)} items have more than one vector: {examples}")
    width = rows["width"].mode()[0]
    broken = rows.filter((pl.col("width") != width) | pl.col("broken"))
    if broken.height:
        examples = ", ".join(broken["item"].head(5))
        raise InputError(f"{path}: vectors of {broken.height} items are broken or not {width} wide: {examples}")


def parse_pairs(path: Path, source: Path | bytes) -> pl.DataFrame:
    """Return the columns item and value of a file, or of a part of it with its header; duplicate rows are dropped."""
    try:
        rows = pl.read_csv(source, separator="\t", infer_schema=False, quote_char=None)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(
            f"{path} is no table ({problem}): its columns are item and a value, with a tab between"
        ) from None
    if rows.width != 2:
        raise InputError(f"{path} has {rows.width} columns: it needs item and a value, with a tab between")
    rows.columns = ["item", "value"]
    return rows.drop_nulls().unique(maintain_order=True)


def _blocks(path: Path) -> Iterator[pl.DataFrame]:
    """Yield item and value of whole lines, some megabytes at a time."""
    with path.open("rb") as stream:
        header = stream.readline()
        block = stream.read(BLOCK) + stream.readline()
        yield parse_pairs(path, header + block)
        while block := stream.read(BLOCK) + stream.readline():
            yield parse_pairs(path, header + block)


def memory_mapped(shape: tuple[int, int]) -> np.ndarray:
    """Return zeros in a file without a name, which the system removes with the array."""
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
