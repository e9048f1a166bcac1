"""What `prepare` would refuse raw/ for, checked before it runs: DVC removes the outs of a stage before it starts it.

Own tables are small and read whole, as `prepare` reads them; of the large files of others the names and first rows."""

import gzip
import json
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Source
from kitrec.sources import amazon2023, kitrec_dataset, own_tables
from kitrec.sources.quarantine import Quarantine

REJECTS = Path(".work/rejects.jsonl")  # those of `prepare` are an out of its own


def check_raw(source: Source, domains: Domains, folder: Path) -> None:
    """Refuse files that are missing, in another format, or mostly invalid; sources without files pass."""
    match source.kind:
        case "tables":
            rejects = Quarantine()
            own_tables.load(folder, domains, source.untitled, rejects)
            rejects.write(REJECTS)
            rejects.check(source.reject_limit, REJECTS)
        case "amazon":
            raw = amazon2023.find_files(folder, {"books": "Books", "movies": "Movies_and_TV", "music": source.music})
            for path in (*raw.reviews.values(), *raw.meta.values()):
                check_first_row(path)
        case "kitrec":
            for path in (path for paths in kitrec_dataset.find_files(folder).values() for path in paths):
                check_first_row(path)


def check_first_row(path: Path) -> None:
    """Refuse a file whose first row cannot be read in the format that its name states."""
    try:
        if path.suffix == ".parquet":
            pl.read_parquet_schema(path)
            return
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            line = stream.readline()
        readable = isinstance(json.loads(line), dict) if ".jsonl" in path.suffixes else "," in line
    except (OSError, EOFError, ValueError, PolarsError) as problem:
        raise InputError(
            f"{path} cannot be read ({str(problem).splitlines()[0]}): raw/README.md says what it is"
        ) from None
    if not readable:
        raise InputError(f"{path} begins with {line[:60].strip()!r}: raw/README.md says what it holds")
