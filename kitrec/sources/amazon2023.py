"""Amazon Reviews 2023 as the two tables that users, splits and candidates are drawn from, in bounded memory.

Two passes. The first copies every good review to parquet beside the run and counts, per user, how many different items
of each domain were met. The second reads back only what belongs to users who can be of a type at all. Of a user's
reviews of one item the latest counts; an item sold in two domains belongs to the first of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kitrec.contracts.interactions import INTERACTIONS
from kitrec.contracts.items import ITEMS
from kitrec.domains import LABELS, SOURCE, TARGETS
from kitrec.errors import InputError
from kitrec.prep.users import FEWEST_BOOKS
from kitrec.sources.amazon_reviews import items, reviews
from kitrec.sources.quarantine import Quarantine


@dataclass(frozen=True)
class Files:
    """Review and meta file of each domain."""

    reviews: Mapping[str, Path]
    meta: Mapping[str, Path]


def load(files: Files, work: Path, quarantine: Quarantine) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(items, interactions) of all users with enough books and at least one target item."""
    for domain in LABELS:
        _copy(files.reviews[domain], work / domain, quarantine)
    users = _eligible(work)
    interactions = pl.concat([_interactions(work, domain, users) for domain in LABELS]).select(*INTERACTIONS.columns)
    wanted = interactions.select("domain", "item_id").unique("item_id", keep="first", maintain_order=True)
    interactions = interactions.join(wanted, on=["domain", "item_id"], how="semi")  # an item sold in two domains
    texts = [
        items(files.meta[domain], domain, wanted.filter(pl.col("domain") == domain)["item_id"].sort(), quarantine)
        for domain in LABELS
    ]
    return pl.concat(texts).select(*ITEMS.columns), interactions.sort("user_id", "time", "item_id")


def _copy(path: Path, folder: Path, quarantine: Quarantine) -> None:
    """Good reviews as parquet, a file per block."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = 0
    for number, block in enumerate(reviews(path, quarantine)):
        block.write_parquet(folder / f"{number:06d}.parquet", compression="lz4")
        rows += block.height
    if not rows:
        raise InputError(f"{path} holds no usable review: {quarantine.reasons() or 'the file is empty'}")


def _eligible(work: Path) -> pl.DataFrame:
    """Users with enough different books and a target item."""
    counts = [
        pl.scan_parquet(work / domain / "*.parquet")
        .group_by("user_id")
        .agg(pl.col("item_id").n_unique().alias(domain))
        .filter(pl.col(domain) >= (FEWEST_BOOKS if domain == SOURCE else 1))
        for domain in LABELS
    ]
    books, *targets = counts
    touched = pl.concat([target.select("user_id") for target in targets]).unique()
    users = books.select("user_id").join(touched, on="user_id", how="semi").collect(engine="streaming")
    if users.is_empty():
        raise InputError(
            f"no user has {FEWEST_BOOKS} books and an item of {' or '.join(LABELS[t] for t in TARGETS)}: "
            "are the review files of one crawl?"
        )
    return users


def _interactions(work: Path, domain: str, users: pl.DataFrame) -> pl.DataFrame:
    """The users' latest review of every item of the domain."""
    own = pl.scan_parquet(work / domain / "*.parquet").join(users.lazy(), on="user_id", how="semi")
    rows = own.collect(engine="streaming").sort("time", "rating").unique(["user_id", "item_id"], keep="last")
    return rows.with_columns(domain=pl.lit(domain))
