"""A table made in append-only shards: a killed run repeats at most the shard it was in."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from kitrec import tables
from kitrec.tables import Table


def in_shards(rows: int, shard: int, work: Path, table: Table, make: Callable[[slice], pl.DataFrame]) -> pl.DataFrame:
    """The table of so many rows; shards that lie in `work` are read, the others made and kept there."""
    parts = []
    for start in range(0, rows, shard):
        path = work / f"shard-{start:08d}.parquet"
        if not path.exists():
            tables.write(make(slice(start, start + shard)), path, table)
        parts.append(tables.read(path, table))
    return pl.concat(parts)
