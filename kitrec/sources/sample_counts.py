"""Numbers of records in KitREC's files against those that its authors' documents state.

Documents: 12,000 training records for each DualFT model and 3,000 for each SingleFT model (3,000 of every user type),
12,000 validation records and 30,000 test records (3,000 of every user type) in each candidate set."""

from collections.abc import Mapping

import polars as pl

from kitrec.core.domains import KITREC

PER_TYPE = 3_000
TOTALS = {"training": 30_000, "preference": 12_000, "test": 30_000}  # of a candidate set, by file group
FILE_NAMES = {"training": "train", "preference": "val", "test": "test"}
_BY_TYPE = ("training", "test")  # of the validation records, the documents only state the total
Key = tuple[str, str]


def count_deviations(records: Mapping[Key, pl.DataFrame]) -> list[str]:
    """Return where the records of (candidate set, file group) are more or fewer than the documents state."""
    lines = []
    for (candidate_set, group), table in records.items():
        place = f"set {candidate_set}, {FILE_NAMES[group]}"
        counts = dict(table["user_type"].value_counts().iter_rows())
        lines += _deviation(place, table.height, TOTALS[group])
        if group == "training":
            for model in KITREC.models:
                names = KITREC.types_of(model)
                listed = sum(counts.get(name, 0) for name in names)
                lines += _deviation(f"{place}, {model}", listed, PER_TYPE * len(names))
        if group in _BY_TYPE:
            for user_type in KITREC.user_types:
                lines += _deviation(f"{place}, {user_type}", counts.get(user_type, 0), PER_TYPE)
    return lines


def length_deviations(lengths: Mapping[Key, int], expected: int) -> list[str]:
    """Return where the candidate lists of the files are longer or shorter than candidates.count."""
    return [
        f"set {candidate_set}, {FILE_NAMES[group]}: lists of {length}; they count, not candidates.count ({expected})"
        for (candidate_set, group), length in lengths.items()
        if length != expected
    ]


def _deviation(place: str, records: int, documented: int) -> list[str]:
    return [f"{place}: {records:,} records, the documents state {documented:,}"] if records != documented else []
