"""How time and memory of `kitrec predict` grow with users and items.   make bench-scale

One SASRec of the size that the pipeline distils, histories of twelve items on average; each run is a process of its
own, from the CSV to the TSV, and its processor seconds and peak memory are with those of the start. The slope is that
of the line through the logarithms, without the start; 1 is proportional. Of a folder one file is held at a time."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.claims import at_most, publish
from bench.running import start
from bench.scale_world import MODEL, made_histories, made_model
from kitrec.recommenders.storage import save_model

COMMAND = "make bench-scale"
USERS, ITEMS, FEW = (4_000, 16_000, 64_000, 256_000), (10_000, 100_000, 700_000), 4_000
MANY_ITEMS = 100_000

Row = dict[str, Any]


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for items in ITEMS:
            save_model(made_model(items), MODEL, folder / f"model{items}")
        nobody = _measured(folder, MANY_ITEMS, 10)
        by_users = [nobody, *(_measured(folder, MANY_ITEMS, users) for users in USERS)]
        by_items = [_measured(folder, items, FEW) for items in ITEMS]
        in_parts = [_measured(folder, MANY_ITEMS, users, parts=users // FEW) for users in USERS[:3]]
    beyond_start = [row["seconds"] - nobody["seconds"] for row in by_users[1:]]
    slope, _ = np.polyfit(np.log(USERS), np.log(beyond_start), 1)
    growth = in_parts[-1]["MiB"] / in_parts[0]["MiB"] - 1
    times = f"{USERS[-1] // USERS[0]} x the users"
    claims = [
        at_most(f"predict, {times}: slope of time", float(slope), 1.1, "", COMMAND),
        at_most(
            f"predict, {USERS[-1]:,} users: beyond the start", beyond_start[-1] / USERS[-1] * 1e3, 1, "ms", COMMAND
        ),
        at_most(f"predict, {len(in_parts)} folders, 16 x the users: growth of memory", growth, 0.2, "", COMMAND),
    ]
    tables = {f"by users, {MANY_ITEMS:,} items": by_users, f"by items, {FEW:,} users": by_items}
    publish("growth", claims, {**tables, f"folders of files, {FEW:,} users each": in_parts})


def _measured(folder: Path, items: int, users: int, parts: int = 0) -> Row:
    """Rank users, of one file or of a folder of them, and return what it took."""
    source, to = folder / f"users{users}-{items}-{parts}", folder / f"best{users}-{items}-{parts}"
    histories = made_histories(users, items=items)
    rows = pl.DataFrame({"user": histories.users, "item": histories.items, "time": range(len(histories.items))})
    rows = rows.with_columns(item=pl.format("i{}", pl.col("item").cast(pl.String).str.zfill(7)))
    if parts:
        source.mkdir()
        for part in range(parts):
            rows.filter(pl.col("user") % parts == part).write_csv(source / f"{part:03}.csv")
    else:
        rows.write_csv(source)
    command = [sys.executable, "-m", "kitrec.cli.main", "predict", folder / f"model{items}", source, "--to", to]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"kitrec predict failed: {' '.join(map(str, command))}")
    seconds = used.ru_utime + used.ru_stime
    return {"users": users, "items": items, "seconds": round(seconds, 1), "MiB": used.ru_maxrss // 1024}


if __name__ == "__main__":
    start(main, __doc__)
