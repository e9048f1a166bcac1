"""Interactions and items of the user's own, of any source and target domains (`source.kind: tables`, raw/README.md).

Ratings that are absent or all 1 are implicit: histories are then shown without ratings. `time` may be a clock or a
position, and without it the order of the rows counts: times are only ever compared within a user. Where ids could be
mistaken for other numbers of a prompt, or two domains share one, every id gets its domain in front."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Untitled
from kitrec.schemas.interactions import INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.sources.own_items import NO_TITLE, OwnItems, known_domain, read_items
from kitrec.sources.quarantine import Quarantine
from kitrec.sources.table_files import find_table, read_table, reject_rows

CLOCK_FROM = 100_000_000  # smaller times are positions: as seconds they would lie before 1973
SUFFIXES_SHOWN = "{tsv,csv,parquet}"


@dataclass(frozen=True)
class OwnTables:
    """Items with an interaction, all interactions, the users that the data reserve for tests (None: they reserve none),
    and counts for the metrics."""

    items: pl.DataFrame
    interactions: pl.DataFrame
    test_users: frozenset[str] | None
    counts: dict[str, Any]


def load(folder: Path, domains: Domains, untitled: Untitled, quarantine: Quarantine) -> OwnTables:
    """Read items.* and interactions.* and, if there is one, user_split.* of `folder`."""
    paths = {stem: find_table(folder, stem) for stem in ("interactions", "items", "user_split")}
    missing = [f"{stem}.{SUFFIXES_SHOWN}" for stem in ("interactions", "items") if paths[stem] is None]
    if missing:
        raise InputError(f"{folder} lacks {' and '.join(missing)}: raw/README.md says what they hold")
    listed = read_items(paths["items"], domains, quarantine)  # type: ignore[arg-type]  # not missing
    read, counts = _read_interactions(paths["interactions"], domains, listed, quarantine)  # type: ignore[arg-type]
    items, interactions, counts_of_untitled = _without_untitled(listed.items, read, untitled)
    used = items.join(interactions.select("item_id").unique(), on="item_id", how="semi", maintain_order="left")
    counts |= {
        "items_read": _by_domain(listed.items, domains),
        "item_ids": "domain-id" if listed.prefixed else "as given",
        "items_without_interactions": items.height - used.height,
        "untitled": {"policy": untitled, **{k: _by_domain(rows, domains) for k, rows in counts_of_untitled.items()}},
    }
    for domain in domains.names:
        if not (interactions["domain"] == domain).any():
            raise InputError(f"{paths['interactions']} has no usable row of {domain}; the file or domains.* is wrong")
    split = paths["user_split"]
    return OwnTables(
        used.select(*ITEMS.columns), interactions, _read_test_users(split, quarantine) if split else None, counts
    )


def _read_interactions(
    path: Path, domains: Domains, listed: OwnItems, quarantine: Quarantine
) -> tuple[pl.DataFrame, dict[str, Any]]:
    rows = read_table(path, ("user", "item"), ("domain", "rating", "time"), quarantine)
    rows = rows.with_columns(
        known_domain(pl.col("domain"), domains).alias("known"),
        pl.col("rating").cast(pl.Float64, strict=False).alias("stars"),
        _whole_number(pl.col("time")).alias("at"),
    )
    with_domain = rows["domain"].null_count() < rows.height
    elsewhere = pl.col("domain").is_not_null() & pl.col("known").is_null()
    of_others = rows.filter(elsewhere).height if with_domain else 0
    rows = rows.filter(~elsewhere)
    rows = rows.with_columns(domain=pl.col("known")) if with_domain else rows.drop("domain")
    keys = ["item", "domain"] if with_domain else ["item"]
    joined = rows.join(listed.ids, on=keys, how="left", maintain_order="left")
    timed = rows["time"].null_count() < rows.height
    reason = (
        pl.when(pl.col("user").is_null())
        .then(pl.lit("no user"))
        .when(pl.col("item").is_null())
        .then(pl.lit("no item"))
        .when(pl.lit(with_domain) & pl.col("known").is_null())
        .then(pl.lit("no domain"))
        .when(pl.col("item_id").is_null())
        .then(pl.lit("item is not among the items"))
        .when(pl.col("rating").is_not_null() & pl.col("stars").is_null())
        .then(pl.lit("rating is no number"))
        .when(~pl.col("stars").is_between(1, 5))
        .then(pl.lit("rating outside 1-5"))
        .when(pl.lit(timed) & pl.col("at").is_null())
        .then(pl.lit("time is no whole number"))
    )
    return _newest(reject_rows(path, joined, reason, quarantine), of_others, timed=timed)


def _newest(rows: pl.DataFrame, of_others: int, *, timed: bool) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the newest interaction of every user and item as typed columns, and what was found about them."""
    implicit = not (rows["stars"].drop_nulls() != 1).any()
    columns = [
        pl.col("user").alias("user_id"),
        "domain",
        "item_id",
        pl.lit(None, pl.Float64).alias("rating") if implicit else pl.col("stars").alias("rating"),
        pl.col("at").alias("time") if timed else pl.int_range(pl.len(), dtype=pl.Int64).over("user").alias("time"),
    ]
    typed = rows.select(columns).sort("time", maintain_order=True)
    newest = typed.unique(["user_id", "item_id"], keep="last", maintain_order=True)
    largest = typed["time"].max()
    clock = timed and isinstance(largest, int) and largest >= CLOCK_FROM
    counts = {
        "ratings": "implicit" if implicit else "explicit",
        "time": "clock" if clock else "position" if timed else "order of the rows",
        "rows_of_other_domains": of_others,
        "older_interactions_with_the_same_item": typed.height - newest.height,
    }
    return newest.select(*INTERACTIONS.columns).sort("user_id", "time", "item_id"), counts


def _without_untitled(
    items: pl.DataFrame, interactions: pl.DataFrame, untitled: Untitled
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, pl.DataFrame]]:
    """Return items and interactions after the policy for items without a title, and those that it was for."""
    nameless = items.filter(NO_TITLE)
    affected = interactions.join(nameless.select("item_id"), on="item_id", how="semi", maintain_order="left")
    counts = {"items": nameless, "interactions": affected}
    if untitled == "drop":
        kept = interactions.join(nameless.select("item_id"), on="item_id", how="anti", maintain_order="left")
        return items.filter(~NO_TITLE), kept, counts
    if untitled == "show_id":
        items = items.with_columns(title=pl.col("title").fill_null(pl.col("item_id")))
    return items, interactions, counts


def _read_test_users(path: Path, quarantine: Quarantine) -> frozenset[str]:
    """Return the users whose split begins with `test`; nobody else becomes a test user, and they nothing else."""
    rows = read_table(path, ("user",), ("split", "source_split"), quarantine)
    rows = rows.with_columns(split=pl.coalesce("split", "source_split").str.to_lowercase())
    reason = pl.when(pl.col("user").is_null() | pl.col("split").is_null()).then(pl.lit("no user or no split"))
    rows = reject_rows(path, rows, reason, quarantine)
    test = rows.filter(pl.col("split").str.starts_with("test"))["user"]
    if test.is_empty():
        raise InputError(f"{path} has no user whose split begins with `test`; mend it, or remove it to draw test users")
    return frozenset(test)


def _whole_number(text: pl.Expr) -> pl.Expr:
    number = text.cast(pl.Float64, strict=False)
    rounded = pl.when(number.is_finite() & (number == number.floor())).then(number).cast(pl.Int64, strict=False)
    return pl.coalesce(text.cast(pl.Int64, strict=False), rounded)


def _by_domain(rows: pl.DataFrame, domains: Domains) -> dict[str, int]:
    return {domain: rows.filter(pl.col("domain") == domain).height for domain in domains.names}
