"""Preparing raw Amazon reviews against pandas; memory as histories grow; the audit at published size.

make bench-prepare   (writes about 1.5 GB of raw files to a temporary folder; half an hour on two cores)"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from bench import pandas_prepare, raw_amazon
from bench.claims import at_least, at_most, publish
from kitrec.core import tables
from kitrec.core.domains import KITREC, SETS
from kitrec.hub.rows import to_rows
from kitrec.preprocessing.audit_input import AuditInput
from kitrec.preprocessing.dataset import build_dataset
from kitrec.preprocessing.leak_audit import audit
from kitrec.preprocessing.params import Candidates, Users
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from kitrec.sources import amazon2023
from kitrec.sources.kitrec_jsonl import load
from kitrec.sources.quarantine import Quarantine

COMMAND = "make bench-prepare"
SEED = 42
PEOPLE, ITEMS_EACH, LETTERS = 430_000, 100_000, 350
_SHARED = {"development_share": 0.1, "min_source_items": 5, "cut": False}
USERS = Users(train=150, preference=60, test=150, **_SHARED)  # type: ignore[arg-type]
CANDIDATES = Candidates(count=100, same_category=40, neighbours=30, popularity_matched=29)
REAL = {"Books": 29_500_000, "Movies & TV": 17_300_000, "Music": 4_800_000}
AUDITED = Users(train=3000, preference=1, test=3000, **_SHARED)  # type: ignore[arg-type]


def main() -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for depth in (1, 2):
            size = raw_amazon.Size(PEOPLE, ITEMS_EACH, depth=depth, letters=LETTERS, remember=False)
            raw_amazon.write_sized(folder / f"raw{depth}", SEED, size, dirty=True)
        ours, peer, deep = (_measured(folder, *run) for run in (("ours", 1), ("peer", 1), ("ours", 2)))
        wide = _measured(folder, "audit", 1)
    growth = deep["peak"] / ours["peak"] - 1
    per_user = (deep["peak"] - ours["peak"]) * 2**20 / PEOPLE
    per_million = (deep["seconds"] - ours["seconds"]) / (deep["reviews"] - ours["reviews"]) * 1e6
    real = sum(REAL.values()) / 1e6 * per_million / 60
    millions, seconds = ours["reviews"] / 1e6, (ours["seconds"], peer["seconds"])
    compared = f"{millions:.1f} M reviews (gz) to both sets: {seconds[0]:.0f} s against pandas' {seconds[1]:.0f} s"
    claims = [
        at_least(compared, peer["seconds"] / ours["seconds"], 8, "x", COMMAND),
        at_most("peak memory of it", ours["peak"], 4096, "MiB", COMMAND),
        at_most(f"growth of it with {deep['reviews'] / ours['reviews']:.1f} x the reviews", growth, 0.2, "", COMMAND),
        at_most("growth per user of it", per_user, 1024, "bytes", COMMAND),
        at_most(
            f"{wide['records']:,.0f} records of 100 read from JSONL, checked ({wide['read']:.0f} s) and audited",
            wide["seconds"],
            60,
            "s",
            COMMAND,
        ),
        at_most(
            f"a million more reviews: {per_million:.1f} s; all {sum(REAL.values()) / 1e6:.1f} M",
            real,
            60,
            "min",
            COMMAND,
        ),
    ]
    publish(
        "prepare",
        claims,
        {
            "Runs": [
                {"run": k, **v} for k, v in (("kitrec", ours), ("pandas", peer), ("kitrec, longer histories", deep))
            ]
        },
    )


def _measured(folder: Path, what: str, depth: int) -> dict[str, float]:
    """Run one side in its own process, so that the peak memory is its own."""
    command = [sys.executable, "-m", "bench.prepare", what, str(folder), str(depth)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def ours(folder: Path, depth: int) -> dict[str, float]:
    """Prepare records from raw files with kitrec."""
    rejects, work = Quarantine(), folder / f"work{depth}"
    began = time.monotonic()
    crawl, dataset = _built(folder / f"raw{depth}", USERS, work, rejects, SETS)
    tables.write(crawl.items, work / "items.parquet", ITEMS)
    for which, roles in dataset.records.items():
        tables.write_all(roles, work / f"set{which}", RECORDS)
    return {"seconds": time.monotonic() - began, "reviews": sum(crawl.counts["reviews"].values())}


def peer(folder: Path, depth: int) -> dict[str, float]:
    """Prepare the same with pandas."""
    began = time.monotonic()
    pandas_prepare.prepare(folder / f"raw{depth}", SEED, USERS, CANDIDATES, folder / "peer")
    return {"seconds": time.monotonic() - began, "reviews": 0}


def audit_of(folder: Path, depth: int) -> dict[str, float]:
    """Read 60,000 records from KitREC's files with every row checked, and audit them for all leaks."""
    crawl, dataset = _built(folder / f"raw{depth}", AUDITED, folder / "wide", Quarantine(), ("A",))
    roles, rejects = dataset.records["A"], Quarantine()
    items = {row["item_id"]: row for row in crawl.items.iter_rows(named=True)}
    with (folder / "records.jsonl").open("w") as stream:
        for row in to_rows(pl.concat(list(roles.values())), items, b"a salt for the bench"):
            stream.write(json.dumps(row) + "\n")
    del items  # memory of the benchmark itself
    began = time.monotonic()
    loaded = load([folder / "records.jsonl"], "A", CANDIDATES.count, rejects, require_output=False, quiet=True)
    read = time.monotonic()
    leaks = audit(AuditInput(roles, crawl.items, crawl.interactions, dataset.training_history, KITREC))
    audited = time.monotonic() - read
    assert not leaks and not rejects.rejects, (leaks, rejects.reasons())
    return {"seconds": read - began + audited, "read": read - began, "records": loaded.records.height}


def _built(raw: Path, users: Users, work: Path, rejects: Quarantine, sets: tuple[str, ...]):  # type: ignore[no-untyped-def]
    sources = amazon2023.find_files(raw, raw_amazon.RAW_NAMES)
    crawl = amazon2023.load(sources, SEED, users, work, rejects, include_others=False, quiet=True)
    share = users.development_share
    return crawl, build_dataset(SEED, KITREC, crawl.roles, share, CANDIDATES, crawl.items, crawl.interactions, sets)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        what, folder, depth = sys.argv[1:]
        figures = {"ours": ours, "peer": peer, "audit": audit_of}[what](Path(folder), int(depth))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**{k: round(v, 1) for k, v in figures.items()}, "peak": round(peak)}))
