"""Let the base go on with titles, histories and what users had.   python -m stages.probe_memory base
Reads the test records, the items and models/base/<base>.json; writes data/memory/<base>.parquet."""

import time

import polars as pl

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.likelihood.params import Probes
from kitrec.preprocessing.params import Data
from kitrec.schemas.items import ITEMS
from kitrec.schemas.memory import MEMORY
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.memory import continued_lines
from kitrec.training.progress import progress_bar
from stages.lib import paths, runner


def main(base: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Write how BASE (base) continues the titles of all held-out items, and a sample of histories."""
    # 1. Params and inputs
    sets, which = params.value(Data, "data.test_sets"), params.value(Data, "data.candidate_set")
    seed, domains = params.load(int, "seed"), params.load(Domains, "domains")
    sample = params.value(Probes, "probes.records")
    pinned, tests = FILE.with_stem(base), {name: paths.set_records(name, "test") for name in sets}
    reads, used = [pinned, paths.ITEMS, *tests.values()], [sets, which, seed, domains, sample]
    with runner.running("probe_memory", base, reads=reads, params=used) as run:
        # 2. Titles of all held-out items, by which metrics are split; histories of a sample
        records = {name: tables.read(path, RECORDS, leave_out=TEXT_COLUMNS) for name, path in tests.items()}
        tested = records[which]
        users = tested.sample(min(sample, tested.height), shuffle=True, seed=seed)
        probed = {"title": pl.concat(records.values()), "history": users, "next": users}
        # 3. What the base writes
        items, start = tables.read(paths.ITEMS, ITEMS), time.monotonic()
        with progress_bar(quiet=quiet) as bar:
            lines = continued_lines(
                read_pinned(pinned),
                probed,
                items,
                domains,
                work=run.work,
                on_progress=lambda done, total: bar.update(f"probe_memory {base}", done, total),
            )
        run.cost["lines"] = {"seconds": round(time.monotonic() - start, 2), "lines": lines.height}
        tables.write(lines, paths.memory(base), MEMORY)


if __name__ == "__main__":
    runner.start(main)
