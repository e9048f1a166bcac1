"""Interactions of user-supplied files: a table with user, item and time, in any of the layouts of interaction_table.py.

Users and items are any text. Rows of one user are sorted by time, equal times keep the order of the file. A row without
a user, an item or a time is left out; the reading says how many, why, and in which lines. Then repeats, the k-core and
the minimum of interactions are applied, in this order, and each says what it left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_filters import Repeats, core, left_out, repeated_rows, without_repeats
from kitrec.recommenders.data.interaction_table import read_table
from kitrec.recommenders.data.interaction_times import LAST_SECOND, Times, parse_times
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

SHOWN = 3  # lines named for each reason
NO_TIMES = "none"  # form of the times of a file whose order is that of time


@dataclass(frozen=True)
class Interactions:
    users: list[str]  # in the order of the sequences
    vocabulary: Vocabulary
    sequences: Sequences
    last_times: list[float]  # time of each user's last interaction
    dropped_rows: int
    repeats: Repeats = "first"
    counts: dict[str, Any] = field(default_factory=dict)  # what was read and left out, for a report
    notices: tuple[str, ...] = ()  # the same in words

    def last_years(self) -> np.ndarray:
        """[users] the calendar year (UTC) of each user's last interaction; times are seconds since 1970.

        A file without times has no years: every item counts as released before."""
        times = np.array(self.last_times)
        if self.counts.get("times") == NO_TIMES:
            return np.full(len(times), np.iinfo(np.int64).max)
        far = times[(times > LAST_SECOND) | (times < -LAST_SECOND)]
        if len(far):
            raise InputError(f"a last time is {far[0]:g}, beyond the year 2200: times must be seconds since 1970")
        return times.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970


def read_interactions(
    path: Path,
    min_interactions: int = 1,
    *,
    repeats: Repeats = "first",
    k_core: int = 0,
    columns: Mapping[str, str] | None = None,
) -> Interactions:
    """Read every user with at least `min_interactions` interactions."""
    table = read_table(path, columns)
    times = parse_times(table.rows["time"])
    times = times if table.has_times else replace(times, form=NO_TIMES)
    read = table.rows.with_columns(time=times.seconds, text="time")
    valid, rejected = _valid_rows(path, read)
    ordered = valid.sort("user", "time", maintain_order=True).with_columns(last=pl.col("time").max().over("user"))
    rows = once = without_repeats(ordered, repeats)
    if k_core > 1:
        rows = core(rows, k_core)
    enough = rows.filter(pl.len().over("user") >= min_interactions)
    if enough.is_empty():
        raise InputError(
            f"{path}: no user has {min_interactions} or more interactions; lower the minimum, or check the file"
        )
    counts: dict[str, Any] = {"rows": read.height, "rejected": {reason: len(bad) for reason, bad in rejected.items()}}
    counts |= {"times": times.form, "repeats": {"rule": repeats, "rows": repeated_rows(ordered)}}
    counts |= {"k_core": {"k": k_core, **left_out(once, rows)}} if k_core > 1 else {}
    counts |= {
        "min_interactions": {"minimum": min_interactions, **left_out(rows, enough)},
        "interactions": enough.height,
    }
    notices = [table.notice, _times_notice(times), _rejected_notice(rejected), *_filter_notices(counts)]
    return _interactions(enough, read.height - valid.height, repeats, counts, tuple(filter(None, notices)))


def _interactions(
    rows: pl.DataFrame, dropped: int, repeats: Repeats, counts: dict[str, Any], notices: tuple[str, ...]
) -> Interactions:
    vocabulary = Vocabulary(rows["item"])
    users = rows["user"].unique(maintain_order=True)
    numbers = rows["user"].rle_id().to_numpy()
    last_times = rows.group_by("user", maintain_order=True).agg(pl.col("last").first())["last"].to_list()
    sequences = sequences_from_rows(numbers, vocabulary.numbers(rows["item"]), len(users))
    return Interactions(users.to_list(), vocabulary, sequences, last_times, dropped, repeats, counts, notices)


def _valid_rows(path: Path, rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Return the usable rows, and the others by the first reason that applies."""
    no_name = {role: pl.col(role).fill_null("") == "" for role in ("user", "item")}
    reasons = {"no user": no_name["user"], "no item": no_name["item"] & ~no_name["user"]}
    reasons["no time that can be read"] = pl.col("time").is_null() & ~no_name["user"] & ~no_name["item"]
    rejected = {reason: rows.filter(applies) for reason, applies in reasons.items()}
    valid = rows.filter(~pl.any_horizontal(*reasons.values()))
    rejected = {reason: bad for reason, bad in rejected.items() if bad.height}
    if rows.height and valid.is_empty():
        raise InputError(
            f"{path}: no row is usable, {_reasons(rejected)}; times are numbers (seconds or milliseconds since 1970) "
            "or dates such as 2020-01-31 12:30"
        )
    return valid, rejected


def _reasons(rejected: Mapping[str, pl.DataFrame]) -> str:
    texts = []
    for reason, bad in rejected.items():
        first = bad.head(SHOWN)
        lines = [str(line) for line in first["line"]]
        if "time" in reason:
            lines = [
                f"{line} {text!r}" for line, text in zip(lines, first["text"].fill_null("").to_list(), strict=True)
            ]
        more = ", ..." if bad.height > SHOWN else ""
        texts.append(f"{bad.height:,} with {reason} (line {', '.join(lines)}{more})")
    return ", ".join(texts)


def _rejected_notice(rejected: Mapping[str, pl.DataFrame]) -> str:
    total = sum(bad.height for bad in rejected.values())
    return f"{total:,} unusable rows left out: {_reasons(rejected)}" if total else ""


def _times_notice(times: Times) -> str:
    return "" if times.form in ("seconds", NO_TIMES) else f"times are {times.form}"


def _filter_notices(counts: Mapping[str, Any]) -> list[str]:
    notices, repeats = [], counts["repeats"]
    if repeats["rows"]:
        done = (
            "kept, so seen items are ranked too"
            if repeats["rule"] == "keep"
            else f"left out, the {repeats['rule']} counts"
        )
        notices.append(f"{repeats['rows']:,} rows repeat an item of their user: {done}")
    lost = "{users:,} users, {items:,} items, {rows:,} rows left out"
    if "k_core" in counts:
        notices.append(f"{counts['k_core']['k']}-core: {lost.format(**counts['k_core'])}")
    if counts["min_interactions"]["users"]:
        minimum = counts["min_interactions"]["minimum"]
        notices.append(f"users with fewer than {minimum} interactions: {lost.format(**counts['min_interactions'])}")
    return notices
