"""Reviews and items of Amazon 2023's raw files as clean columns, with the reason of every row that is not taken.

A time is in milliseconds; ten-digit ones are seconds. An item is its `parent_asin`, under which variants are sold."""

import html
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kitrec.core.domains import LABELS
from kitrec.core.errors import InputError
from kitrec.sources.amazon_files import SEPARATOR, read_blocks
from kitrec.sources.quarantine import Quarantine

REVIEW = ("rating", "user_id", "parent_asin", "timestamp")
META = ("parent_asin", "title", "categories", "average_rating", "description", "details")
SECONDS_BELOW = 100_000_000_000  # a time smaller than this is in seconds
EARLIEST, LATEST = 800_000_000_000, 4_000_000_000_000  # 1995 to 2096, in ms
LONGEST = {"title": 200, "category": 60, "description": 300}
MOST_CATEGORIES = 5
_CONTROL = r"[\x00-\x1f\x7f-\x9f\x{2028}\x{2029}\x{feff}]+"
_TAG = r"<[^<>]{1,200}>"
_YEAR = r"\b((?:19|20)\d\d)\b"


def reviews(path: Path, quarantine: Quarantine, *, quiet: bool) -> Iterator[pl.DataFrame]:
    """Blocks of (user_id, item_id, rating, time)."""
    stars, time = pl.col("rating").cast(pl.Float64, strict=False), pl.col("timestamp").cast(pl.Int64, strict=False)
    reason = (
        pl.when(_blank("user_id"))
        .then(pl.lit("no user_id"))
        .when(_blank("parent_asin"))
        .then(pl.lit("no parent_asin"))
        .when(pl.col("stars").is_null())
        .then(pl.lit("rating is no number"))
        .when(~pl.col("stars").is_between(1, 5))
        .then(pl.lit("rating outside 1-5"))
        .when(pl.col("time").is_null())
        .then(pl.lit("timestamp is no number"))
        .when(~pl.col("time").is_between(EARLIEST, LATEST))
        .then(pl.lit("timestamp out of the world"))
    )
    for block in read_blocks(path, REVIEW, quarantine, nested=False, quiet=quiet):
        in_ms = pl.when(time < SECONDS_BELOW).then(time * 1000).otherwise(time)
        judged = block.with_columns(stars=stars, time=in_ms).with_columns(reason=reason)
        _set_aside(path, judged, quarantine)
        good = judged.filter(pl.col("reason").is_null())
        yield good.select("user_id", item_id="parent_asin", rating="stars", time="time")


def items(path: Path, domain: str, wanted: pl.Series, quarantine: Quarantine, *, quiet: bool) -> pl.DataFrame:
    """The wanted items' texts, one row each; an item without a title has no metadata."""
    blocks = []
    for block in read_blocks(path, META, quarantine, nested=True, quiet=quiet):
        judged = block.with_columns(reason=pl.when(_blank("parent_asin")).then(pl.lit("no parent_asin")))
        _set_aside(path, judged, quarantine)
        blocks.append(judged.filter(pl.col("parent_asin").is_in(wanted.implode())).drop("line", "reason"))
    if not blocks:
        raise InputError(f"{path} is empty: it must describe the items of {LABELS[domain]}")
    found = pl.concat(blocks).unique("parent_asin", keep="first", maintain_order=True)
    return _texts(found, domain, wanted)


def _texts(found: pl.DataFrame, domain: str, wanted: pl.Series) -> pl.DataFrame:
    every = pl.DataFrame({"item_id": wanted}).join(
        found, left_on="item_id", right_on="parent_asin", how="left", maintain_order="left"
    )
    title, stars = clean(every["title"], LONGEST["title"]), every["average_rating"].cast(pl.Float64, strict=False)
    return pl.DataFrame(
        {
            "domain": pl.Series([domain] * every.height, dtype=pl.String),
            "item_id": every["item_id"],
            "title": title,
            "categories": _categories(every["categories"], title.is_not_null()),
            "description": clean(every["description"], LONGEST["description"]),
            "average_rating": stars.set(~stars.is_between(1, 5).fill_null(False), None),
            "year": every["details"].str.extract(_YEAR).cast(pl.Int32),
            "has_metadata": title.is_not_null(),
        }
    )


def clean(texts: pl.Series, longest: int) -> pl.Series:
    """Each text on one line: entities resolved, tags, control and separator characters out, NFC, at most `longest`."""
    decoded = [html.unescape(html.unescape(text)) if text and "&" in text else text for text in texts]
    plain = pl.Series(decoded, dtype=pl.String)  # many were escaped twice
    plain = plain.str.replace_all(_TAG, " ").str.replace_all(_CONTROL, " ").str.replace_all(" | ", " / ", literal=True)
    plain = plain.str.normalize("NFC").str.replace_all(r"\s+", " ").str.strip_chars()
    cut = plain.str.slice(0, longest - 1).str.replace(r" [^ ]*$", "") + "…"
    plain = plain.zip_with((plain.str.len_chars() <= longest).fill_null(True), cut)
    return plain.set(plain == "", None)


def _categories(texts: pl.Series, named: pl.Series) -> pl.Series:
    """The last, most special categories; the first names the whole domain. Only named items have some."""
    lists = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "name": texts.str.split(SEPARATOR)})
    flat = lists.filter(named).explode("name").drop_nulls()
    flat = flat.with_columns(name=clean(flat["name"], LONGEST["category"]).str.replace_all(",", " ", literal=True))
    kept = flat.drop_nulls().unique(maintain_order=True).group_by("row", maintain_order=True).agg("name")
    special = pl.when(pl.col("name").list.len() > 1).then(pl.col("name").list.slice(1)).otherwise("name")
    kept = kept.select("row", name=special.list.tail(MOST_CATEGORIES))
    every = lists.select("row").join(kept, on="row", how="left", maintain_order="left")["name"]
    return every.fill_null(pl.Series([[]], dtype=pl.List(pl.String)))


def _blank(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")


def _set_aside(path: Path, judged: pl.DataFrame, quarantine: Quarantine) -> None:
    for line, reason in judged.filter(pl.col("reason").is_not_null()).select("line", "reason").iter_rows():
        quarantine.reject(path, line, reason)
