"""The items table of the user's own data: titles, categories, descriptions and years as prompts can show them."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.sources.amazon_reviews import MAX_CATEGORIES, MAX_CHARACTERS, clean
from kitrec.sources.quarantine import Quarantine
from kitrec.sources.table_files import LIST_SEPARATOR, read_table, reject_rows

NO_TITLE = ~pl.col("has_metadata")
_ID = r"^[A-Za-z0-9_-]+$"  # as the prompt's lines and KitREC's files have them
_MISTAKABLE = r"^[0-9]{1,4}$"  # ranks, counts, ratings and years of a prompt look alike


@dataclass(frozen=True)
class OwnItems:
    """Items, their ids in the file (`item`, `domain` -> `item_id`), and whether these got their domain in front."""

    items: pl.DataFrame
    ids: pl.DataFrame
    prefixed: bool


def read_items(path: Path, domains: Domains, quarantine: Quarantine) -> OwnItems:
    """Return the items of the domains; the first row of an id counts."""
    rows = read_table(path, ("item", "title"), ("domain", "categories", "description", "year"), quarantine)
    rows = _with_domain(path, rows, domains)
    reason = (
        pl.when(pl.col("item").is_null())
        .then(pl.lit("no item"))
        .when(~pl.col("item").str.contains(_ID))
        .then(pl.lit("item id of other characters than letters, digits, _ and -"))
        .when(pl.col("domain").is_null())
        .then(pl.lit("no domain"))
        .when(~pl.struct("item", "domain").is_first_distinct())
        .then(pl.lit("the item's second row"))
    )
    rows = reject_rows(path, rows, reason, quarantine)
    rows = rows.with_columns(domain=known_domain(pl.col("domain"), domains)).drop_nulls("domain")
    prefixed = rows["item"].is_duplicated().any() or rows["item"].str.contains(_MISTAKABLE).any()
    item_id = pl.format("{}-{}", "domain", "item") if prefixed else pl.col("item")
    rows = rows.with_columns(item_id=item_id)
    return OwnItems(_clean(rows), rows.select("item", "domain", "item_id"), prefixed)


def known_domain(column: pl.Expr, domains: Domains) -> pl.Expr:
    """Return the domain that a field names or calls by its label, in any letter case; null for others."""
    names = {text.lower(): name for name in domains.names for text in (domains.labels[name], name)}
    return column.str.to_lowercase().replace_strict(names, default=None, return_dtype=pl.String)


def _with_domain(path: Path, rows: pl.DataFrame, domains: Domains) -> pl.DataFrame:
    """Return the rows with a domain: the column, or the first category where the file has none."""
    if rows["domain"].null_count() < rows.height:
        return rows
    parts = pl.col("categories").str.split(LIST_SEPARATOR)
    by_category = rows.with_columns(
        domain=parts.list.first().str.strip_chars(), categories=parts.list.slice(1).list.join(LIST_SEPARATOR)
    )
    if by_category.select(known_domain(pl.col("domain"), domains).is_null().all()).item():
        raise InputError(
            f"{path} has no column domain, and no first category is one of {', '.join(domains.labels.values())}"
        )
    return by_category


def _clean(rows: pl.DataFrame) -> pl.DataFrame:
    title = clean(rows["title"], MAX_CHARACTERS["title"])
    return pl.DataFrame(
        {
            "domain": rows["domain"],
            "item_id": rows["item_id"],
            "title": title,
            "categories": _categories(rows["categories"]),
            "description": clean(rows["description"], MAX_CHARACTERS["description"]),
            "average_rating": pl.repeat(None, rows.height, dtype=pl.Float64, eager=True),
            "year": rows["year"].str.extract(r"^(\d{4})\b").cast(pl.Int32),
            "has_metadata": title.is_not_null(),
        }
    )


def _categories(texts: pl.Series) -> pl.Series:
    """Return the first categories of every item, cleaned; commas would separate them in prompts."""
    lists = pl.DataFrame({"row": pl.int_range(len(texts), eager=True), "name": texts.str.split(LIST_SEPARATOR)})
    flat = lists.explode("name").drop_nulls()
    names = flat["name"].str.replace_all(",", " ", literal=True)
    flat = flat.with_columns(name=clean(names, MAX_CHARACTERS["category"]))
    kept = flat.drop_nulls().unique(maintain_order=True).group_by("row", maintain_order=True).agg("name")
    kept = kept.with_columns(pl.col("name").list.head(MAX_CATEGORIES))
    joined = lists.select("row").join(kept, on="row", how="left", maintain_order="left")["name"]
    return joined.fill_null(pl.Series([[]], dtype=pl.List(pl.String)))
