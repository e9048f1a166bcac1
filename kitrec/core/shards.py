"""Resumable computation of a table in append-only shards: a killed run repeats at most the shard it was computing."""

import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.core.tables import Table

ShardFunction = Callable[[slice], pl.DataFrame]


def compute_in_shards(
    n_rows: int,
    shard_size: int,
    work_dir: Path,
    table: Table,
    compute: ShardFunction,
    on_shard: Callable[[int], None] = lambda _rows: None,
) -> pl.DataFrame:
    """Return the table of `n_rows` rows; shards present in `work_dir` are read, the others computed and stored there.

    `on_shard` is called with the number of rows of every shard, whether read or computed."""
    shards = []
    for start in range(0, n_rows, shard_size):
        path = work_dir / f"shard-{start:08d}.parquet"
        if not path.exists():
            tables.write(compute(slice(start, start + shard_size)), path, table)
        shards.append(tables.read(path, table))
        on_shard(shards[-1].height)
    return pl.concat([pl.DataFrame(schema=dict(table.columns)), *shards])


def by_slice(frame: pl.DataFrame, compute: Callable[[pl.DataFrame], pl.DataFrame]) -> ShardFunction:
    """Turn a function of a frame's rows into one of slices of that frame."""
    return lambda rows: compute(frame[rows])


class TimedShards:
    """Shard function that counts the rows and seconds of this process; shards stored by a killed run do not count."""

    def __init__(self, compute: ShardFunction) -> None:
        self._compute = compute
        self.rows, self.seconds = 0, 0.0

    def __call__(self, rows: slice) -> pl.DataFrame:
        start = time.perf_counter()
        shard = self._compute(rows)
        self.seconds += time.perf_counter() - start
        self.rows += shard.height
        return shard

    def cost(self) -> dict[str, float]:
        """Return seconds and records for the cost ledger."""
        return {"seconds": round(self.seconds, 2), "records": self.rows}
