"""A table made in append-only shards: a killed run repeats at most the shard it was in."""

import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.core.tables import Table


def in_shards(
    rows: int,
    shard: int,
    work: Path,
    table: Table,
    make: Callable[[slice], pl.DataFrame],
    told: Callable[[int], None] = lambda _rows: None,
) -> pl.DataFrame:
    """The table of so many rows; shards that lie in `work` are read, the others made and kept there.

    `told` hears of the rows of every shard that is there."""
    parts = []
    for start in range(0, rows, shard):
        path = work / f"shard-{start:08d}.parquet"
        if not path.exists():
            tables.write(make(slice(start, start + shard)), path, table)
        parts.append(tables.read(path, table))
        told(parts[-1].height)
    return pl.concat([pl.DataFrame(schema=dict(table.columns)), *parts])


def of_rows(frame: pl.DataFrame, make: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[slice], pl.DataFrame]:
    """A `make` for the rows of a frame."""
    return lambda part: make(frame[part])


class Clocked:
    """A `make` that knows how many rows this process made and in what time; shards of a killed one do not count."""

    def __init__(self, make: Callable[[slice], pl.DataFrame]) -> None:
        self._make = make
        self.rows, self.seconds = 0, 0.0

    def __call__(self, part: slice) -> pl.DataFrame:
        began = time.perf_counter()
        made = self._make(part)
        self.seconds += time.perf_counter() - began
        self.rows += made.height
        return made

    def told(self) -> dict[str, float]:
        """For the ledger of costs."""
        return {"seconds": round(self.seconds, 2), "records": self.rows}
