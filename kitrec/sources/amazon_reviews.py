"""Reviews and items of Amazon 2023's raw files as clean columns, with the reason of every row that is not taken.

A time is in milliseconds; ten-digit ones are seconds. An item is its `parent_asin`, under which variants are sold."""

import html
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kitrec.sources.amazon_files import read_blocks
from kitrec.sources.quarantine import Quarantine

REVIEW = ("rating", "user_id", "parent_asin", "timestamp")
META = ("parent_asin", "title", "categories", "average_rating", "description", "details")
SECONDS_BELOW = 100_000_000_000  # a time smaller than this is in seconds
EARLIEST, LATEST = 800_000_000_000, 4_000_000_000_000  # 1995 to 2096, in ms
LONGEST = {"title": 200, "category": 60, "description": 300}
MOST_CATEGORIES = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_TAG = re.compile(r"<[^<>]{1,200}>")
_YEAR = re.compile(r"\b(19|20)\d\d\b")


def reviews(path: Path, quarantine: Quarantine) -> Iterator[pl.DataFrame]:
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
    for block in read_blocks(path, REVIEW, quarantine):
        in_ms = pl.when(time < SECONDS_BELOW).then(time * 1000).otherwise(time)
        judged = block.with_columns(stars=stars, time=in_ms).with_columns(reason=reason)
        _set_aside(path, judged, quarantine)
        good = judged.filter(pl.col("reason").is_null())
        yield good.select("user_id", item_id="parent_asin", rating="stars", time="time")


def items(path: Path, domain: str, wanted: pl.Series, quarantine: Quarantine) -> pl.DataFrame:
    """The wanted items' texts, one row each; an item without a title has no metadata."""
    blocks = []
    for block in read_blocks(path, META, quarantine):
        judged = block.with_columns(reason=pl.when(_blank("parent_asin")).then(pl.lit("no parent_asin")))
        _set_aside(path, judged, quarantine)
        blocks.append(judged.filter(pl.col("parent_asin").is_in(wanted.implode())).drop("line", "reason"))
    found = pl.concat(blocks).unique("parent_asin", keep="first", maintain_order=True)
    return _texts(found, domain, wanted)


def _texts(found: pl.DataFrame, domain: str, wanted: pl.Series) -> pl.DataFrame:
    every = pl.DataFrame({"parent_asin": wanted}).join(found, on="parent_asin", how="left", maintain_order="left")
    titles = [clean(text, LONGEST["title"]) for text in every["title"]]
    categories = [_categories(text) if title else [] for title, text in zip(titles, every["categories"], strict=True)]
    about = [clean(" ".join(_listed(text)), LONGEST["description"]) for text in every["description"]]
    stars = every["average_rating"].cast(pl.Float64, strict=False)
    return pl.DataFrame(
        {
            "domain": pl.Series([domain] * every.height, dtype=pl.String),
            "item_id": every["parent_asin"],
            "title": pl.Series(titles, dtype=pl.String),
            "categories": pl.Series(categories, dtype=pl.List(pl.String)),
            "description": pl.Series(about, dtype=pl.String),
            "average_rating": stars.set(~stars.is_between(1, 5).fill_null(False), None),
            "year": pl.Series([_year(text) for text in every["details"]], dtype=pl.Int32),
            "has_metadata": pl.Series([title is not None for title in titles]),
        }
    )


def clean(text: str | None, longest: int) -> str | None:
    """Text on one line: entities resolved, tags, control and separator characters out, NFC, at most `longest` long."""
    if text is None:
        return None
    plain = _TAG.sub(" ", html.unescape(html.unescape(text)))
    plain = " ".join(unicodedata.normalize("NFC", _CONTROL.sub(" ", plain)).replace(" | ", " / ").split())
    if len(plain) > longest:
        plain = plain[: longest - 1].rsplit(" ", 1)[0] + "…"
    return plain or None


def _listed(text: str | None) -> list[str]:
    """The strings of a field that is a list in some rows and a string in others."""
    if not text:
        return []
    try:
        parsed = json.loads(text) if text.startswith("[") else text
    except ValueError:
        parsed = text  # a title may begin with a bracket
    return [part for part in parsed if isinstance(part, str) and part] if isinstance(parsed, list) else [text]


def _categories(text: str | None) -> list[str]:
    """The last, most special categories; the first names the whole domain."""
    names = [clean(name, LONGEST["category"]) for name in _listed(text)]
    kept = [name.replace(",", " ") for name in dict.fromkeys(names) if name]
    return (kept[1:] or kept)[-MOST_CATEGORIES:]


def _year(details: str | None) -> int | None:
    found = _YEAR.search(details or "")
    return int(found[0]) if found else None


def _blank(name: str) -> pl.Expr:
    return pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")


def _set_aside(path: Path, judged: pl.DataFrame, quarantine: Quarantine) -> None:
    for line, reason in judged.filter(pl.col("reason").is_not_null()).select("line", "reason").iter_rows():
        quarantine.reject(path, line, reason)
