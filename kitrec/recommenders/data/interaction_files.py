"""Interactions of user-supplied files: a CSV or TSV with the columns user, item, time (others are ignored).

Users and items are any text. Rows of one user are sorted by time, equal times keep the order of the file. A row without
a user, an item or a number as its time is dropped and counted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

REQUIRED = ("user", "item", "time")
LAST_SECOND = 7.3e9  # in 2201; later times are not seconds


@dataclass(frozen=True)
class Interactions:
    users: list[str]  # in the order of the sequences
    vocabulary: Vocabulary
    sequences: Sequences
    last_times: list[float]  # time of each user's last interaction
    dropped_rows: int

    def last_years(self) -> np.ndarray:
        """[users] the calendar year (UTC) of each user's last interaction; times are seconds since 1970."""
        times = np.array(self.last_times)
        far = times[(times > LAST_SECOND) | (times < -LAST_SECOND)]
        if len(far):
            raise InputError(f"a last time is {far[0]:g}, beyond the year 2200: times must be seconds since 1970")
        return times.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970


def read_interactions(path: Path, min_interactions: int = 1) -> Interactions:
    """Read every user with at least `min_interactions` interactions."""
    table = _table(path)
    times = pl.col("time").cast(pl.Float64, strict=False)
    valid = table.with_columns(times).drop_nulls(REQUIRED).filter(pl.col("time").is_finite())
    valid = valid.filter(pl.col("user") != "", pl.col("item") != "")
    if table.height and valid.is_empty():
        raise InputError(f"{path}: no row has a user, an item and a number (seconds since 1970) as its time")
    rows = valid.filter(pl.len().over("user") >= min_interactions).sort("user", "time", maintain_order=True)
    if rows.is_empty():
        raise InputError(
            f"{path}: no user has {min_interactions} or more interactions; lower the minimum, or check the file"
        )
    vocabulary = Vocabulary(rows["item"])
    users = rows["user"].unique(maintain_order=True)
    numbers = rows["user"].rle_id().to_numpy()
    last_times = rows.group_by("user", maintain_order=True).agg(pl.col("time").last())["time"].to_list()
    sequences = sequences_from_rows(numbers, vocabulary.numbers(rows["item"]), len(users))
    return Interactions(users.to_list(), vocabulary, sequences, last_times, table.height - valid.height)


def _table(path: Path) -> pl.DataFrame:
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        table = pl.read_csv(path, separator=separator, infer_schema=False, quote_char='"' if separator == "," else None)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: give a CSV or TSV with the columns {', '.join(REQUIRED)}") from None
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(
            f"{path} is no table ({problem}): give a CSV or TSV with the columns {', '.join(REQUIRED)}"
        ) from None
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.select(REQUIRED)
