"""Reviews and items of the raw files of Amazon Reviews 2023 as clean columns; invalid rows are rejected with a reason.

Times are in milliseconds; ten-digit ones are seconds. Items are identified by `parent_asin`, common to variants."""

import html
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.sources.amazon_files import SEPARATOR, read_blocks
from kitrec.sources.quarantine import Quarantine

REVIEW = ("rating", "user_id", "parent_asin", "timestamp")
META = ("parent_asin", "title", "categories", "average_rating", "description", "details")
SECONDS_BELOW = 100_000_000_000  # smaller times are in seconds
EARLIEST, LATEST = 800_000_000_000, 4_000_000_000_000  # 1995 to 2096, in ms
MAX_CHARACTERS = {"title": 200, "category": 60, "description": 300}
MAX_CATEGORIES = 5
_CONTROL = r"[\x00-\x1f\x7f-\x9f\x{2028}\x{2029}\x{feff}]+"
_TAG = r"<[^<>]{1,200}>"
_YEAR = r"\b((?:19|20)\d\d)\b"


def read_reviews(path: Path, quarantine: Quarantine, *, quiet: bool) -> Iterator[pl.DataFrame]:
    """Yield blocks of (user_id, item_id, rating, time)."""
    rating, time = pl.col("rating").cast(pl.Float64, strict=False), pl.col("timestamp").cast(pl.Int64, strict=False)
    reason = (
        pl.when(_blank("user_id"))
        .then(pl.lit("no user_id"))
        .when(_blank("parent_asin"))
        .then(pl.lit("no parent_asin"))
        .when(pl.col("rating").is_null())
        .then(pl.lit("rating is no number"))
        .when(~pl.col("rating").is_between(1, 5))
        .then(pl.lit("rating outside 1-5"))
        .when(pl.col("time").is_null())
        .then(pl.lit("timestamp is no number"))
        .when(~pl.col("time").is_between(EARLIEST, LATEST))
        .then(pl.lit("timestamp out of the world"))
    )
    for block in read_blocks(path, REVIEW, quarantine, nested=False, quiet=quiet):
        in_ms = pl.when(time < SECONDS_BELOW).then(time * 1000).otherwise(time)
        checked = block.with_columns(rating=rating, time=in_ms).with_columns(reason=reason)
        _reject(path, checked, quarantine)
        valid = checked.filter(pl.col("reason").is_null())
        yield valid.select("user_id", item_id="parent_asin", rating="rating", time="time")


def read_items(path: Path, domain: str, item_ids: pl.Series, quarantine: Quarantine, *, quiet: bool) -> pl.DataFrame:
    """Return the metadata of the given items, one row each; an item without a title has no metadata."""
    blocks = []
    for block in read_blocks(path, META, quarantine, nested=True, quiet=quiet):
        checked = block.with_columns(reason=pl.when(_blank("parent_asin")).then(pl.lit("no parent_asin")))
        _reject(path, checked, quarantine)
        blocks.append(checked.filter(pl.col("parent_asin").is_in(item_ids.implode())).drop("line", "reason"))
    if not blocks:
        raise InputError(f"{path} is empty: it must describe the items of {KITREC.labels[domain]}")
    rows = pl.concat(blocks).unique("parent_asin", keep="first", maintain_order=True)
    return _clean_items(rows, domain, item_ids)


def _clean_items(rows: pl.DataFrame, domain: str, item_ids: pl.Series) -> pl.DataFrame:
    items = pl.DataFrame({"item_id": item_ids}).join(
        rows, left_on="item_id", right_on="parent_asin", how="left", maintain_order="left"
    )
    title = clean(items["title"], MAX_CHARACTERS["title"])
    rating = items["average_rating"].cast(pl.Float64, strict=False)
    return pl.DataFrame(
        {
            "domain": pl.Series([domain] * items.height, dtype=pl.String),
            "item_id": items["item_id"],
            "title": title,
            "categories": _categories(items["categories"], title.is_not_null()),
            "description": clean(items["description"], MAX_CHARACTERS["description"]),
            "average_rating": rating.set(~rating.is_between(1, 5).fill_null(False), None),
            "year": items["details"].str.extract(_YEAR).cast(pl.Int32),
            "has_metadata": title.is_not_null(),
        }
    )


def clean(texts: pl.Series, max_characters: int) -> pl.Series:
    """Return each text on one line in NFC, at most `max_characters` long, with entities resolved and without tags,
    control and separator characters."""
    decoded = [html.unescape(html.unescape(text)) if text and "&" in text else text for text in texts]
    plain = pl.Series(decoded, dtype=pl.String)  # unescaped twice, since many were escaped twice
    plain = plain.str.replace_all(_TAG, " ").str.replace_all(_CONTROL, " ").str.replace_all(" | ", " / ", literal=True)
    plain = plain.str.normalize("NFC").str.replace_all(r"\s+", " ").str.strip_chars()
    cut = plain.str.slice(0, max_characters - 1).str.replace(r" [^ ]*$", "") + "…"
    plain = plain.zip_with((plain.str.len_chars() <= max_characters).fill_null(True), cut)
    return plain.set(plain == "", None)


def _categories(texts: pl.Series, named: pl.Series) -> pl.Series:
    """Return the last, most specific categories; the first names the whole domain. Items without a title have none."""
    lists = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "name": texts.str.split(SEPARATOR)})
    flat = lists.filter(named).explode("name").drop_nulls()
    names = clean(flat["name"], MAX_CHARACTERS["category"]).str.replace_all(",", " ", literal=True)
    flat = flat.with_columns(name=names)
    kept = flat.drop_nulls().unique(maintain_order=True).group_by("row", maintain_order=True).agg("name")
    specific = pl.when(pl.col("name").list.len() > 1).then(pl.col("name").list.slice(1)).otherwise("name")
    kept = kept.select("row", name=specific.list.tail(MAX_CATEGORIES))
    categories = lists.select("row").join(kept, on="row", how="left", maintain_order="left")["name"]
    return categories.fill_null(pl.Series([[]], dtype=pl.List(pl.String)))


def _blank(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")


def _reject(path: Path, checked: pl.DataFrame, quarantine: Quarantine) -> None:
    for line, reason in checked.filter(pl.col("reason").is_not_null()).select("line", "reason").iter_rows():
        quarantine.reject(path, line, reason)
