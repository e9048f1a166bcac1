"""Interactions as people keep them: a CSV or TSV with the columns user, item, time (others are ignored).

Users and items are any text. Rows of one user are put in the order of their times, equal times in the order of the
file. A row without a user, an item or a number as its time is left out and counted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences, of_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

NEEDED = ("user", "item", "time")
LAST_SECOND = 7.3e9  # in 2201; later times are not seconds


@dataclass(frozen=True)
class Interactions:
    users: list[str]  # in the order of the sequences
    vocabulary: Vocabulary
    sequences: Sequences
    newest: list[float]  # time of each user's last interaction
    left_out: int  # rows

    def last_years(self) -> np.ndarray:
        """[users] the calendar year (UTC) of each user's last interaction; times are seconds since 1970."""
        newest = np.array(self.newest)
        far = newest[(newest > LAST_SECOND) | (newest < -LAST_SECOND)]
        if len(far):
            raise InputError(f"a newest time is {far[0]:g}, beyond the year 2200: times are to be seconds since 1970")
        return newest.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970


def read_interactions(path: Path, fewest: int = 1) -> Interactions:
    """Every user with at least `fewest` interactions."""
    table = _table(path)
    times = pl.col("time").cast(pl.Float64, strict=False)
    whole = table.with_columns(times).drop_nulls(NEEDED).filter(pl.col("time").is_finite())
    whole = whole.filter(pl.col("user") != "", pl.col("item") != "")
    if table.height and whole.is_empty():
        raise InputError(f"{path}: no row has a user, an item and a number (seconds since 1970) as its time")
    rows = whole.filter(pl.len().over("user") >= fewest).sort("user", "time", maintain_order=True)
    if rows.is_empty():
        raise InputError(
            f"{path}: no user has {fewest} or more interactions; lower the least number, or check the file"
        )
    vocabulary = Vocabulary(rows["item"])
    users = rows["user"].unique(maintain_order=True)
    numbers = rows["user"].rle_id().to_numpy()
    newest = rows.group_by("user", maintain_order=True).agg(pl.col("time").last())["time"].to_list()
    sequences = of_rows(numbers, vocabulary.numbers(rows["item"]), len(users))
    return Interactions(users.to_list(), vocabulary, sequences, newest, table.height - whole.height)


def _table(path: Path) -> pl.DataFrame:
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        table = pl.read_csv(path, separator=separator, infer_schema=False, quote_char='"' if separator == "," else None)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: give a CSV or TSV with the columns {', '.join(NEEDED)}") from None
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(
            f"{path} is no table ({problem}): give a CSV or TSV with the columns {', '.join(NEEDED)}"
        ) from None
    missing = [name for name in NEEDED if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.select(NEEDED)
