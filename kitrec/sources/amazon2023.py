"""Sampling of users, interactions and items from Amazon Reviews 2023, in memory that does not grow with the files.

1. Every valid review is copied to parquet, bucketed by user, so that a bucket holds all reviews of its users.
2. Users are classified bucket by bucket; of a user's reviews of one item the latest counts.
3. Users are sampled; only their interactions are read back, and the texts of all items their lists can show. With
   `include_others`, the interactions of all other users are read too, and memory grows with the files.
An item belongs to the first domain that has a review of it; its reviews in other domains are ignored."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from kitrec.core import files
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Users
from kitrec.preprocessing.users import (
    UserGroups,
    last_target_interactions,
    members_by_type,
    sample_roles,
    sampled_users,
)
from kitrec.schemas.interactions import INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.sources.amazon_reviews import read_items, read_reviews
from kitrec.sources.quarantine import Quarantine, Reject

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet")
RATING_ONLY = (".csv.gz", ".csv")  # of reviews: without texts, so much smaller
BUCKETS = 16
BATCH_ROWS = 1_000_000


@dataclass(frozen=True)
class RawFiles:
    """Review and metadata file of each domain."""

    reviews: Mapping[str, Path]
    meta: Mapping[str, Path]


@dataclass(frozen=True)
class AmazonSample:
    """Items that lists can show, interactions and roles of the sampled users, interactions of other users with a target
    item (if requested), and counts of users and reviews."""

    items: pl.DataFrame
    interactions: pl.DataFrame
    others: pl.DataFrame
    roles: UserGroups
    counts: dict[str, Any]


def find_files(folder: Path, names: Mapping[str, str]) -> RawFiles:
    """Find the files of each domain: `Books.jsonl.gz` and `meta_Books.jsonl.gz`, or .jsonl, or .parquet; for reviews
    also the rating-only `Books.csv.gz`, or .csv. Of several the first in this order counts."""
    suffixes: dict[str, tuple[str, ...]] = {}
    for stem in names.values():
        suffixes |= {stem: (*SUFFIXES, *RATING_ONLY), f"meta_{stem}": SUFFIXES}
    candidates = {stem: [folder / f"{stem}{suffix}" for suffix in listed] for stem, listed in suffixes.items()}
    existing = {stem: next((path for path in paths if path.exists()), None) for stem, paths in candidates.items()}
    missing = [stem for stem, path in existing.items() if path is None]
    if missing:
        raise InputError(
            f"{folder} lacks {', '.join(missing)} ({', '.join(SUFFIXES)}; for reviews also {', '.join(RATING_ONLY)}): "
            "raw/README.md says where to get them"
        )
    paths = {stem: path for stem, path in existing.items() if path}
    return RawFiles(
        {d: paths[name] for d, name in names.items()}, {d: paths[f"meta_{name}"] for d, name in names.items()}
    )


def load(
    raw: RawFiles, seed: int, users: Users, work: Path, quarantine: Quarantine, *, include_others: bool, quiet: bool
) -> AmazonSample:
    """Sample users of every type; `work` keeps the bucketed copies, so that a killed run reads no file twice."""
    reviews = {d: _copy_to_buckets(raw.reviews[d], work / d, quarantine, quiet=quiet) for d in KITREC.names}
    item_domains = _item_domains(work)
    members: dict[str, list[str]] = {}
    funnel: Counter[str] = Counter()
    for bucket in tqdm(range(BUCKETS), desc="users by type", disable=quiet):
        rows = _latest(_scan(work, f"{bucket:02d}"), item_domains, funnel)
        last_targets = last_target_interactions(rows, KITREC, users.min_source_items)
        for user_type, ids in members_by_type(last_targets, KITREC).items():
            members.setdefault(user_type, []).extend(ids)
        funnel["users"] += rows["user_id"].n_unique()
        funnel["users with a target item"] += last_targets["user_id"].n_unique()
        funnel.update(dict(last_targets["exclusion_reason"].drop_nulls().value_counts().iter_rows()))
    roles = sample_roles(seed, members, users)
    sampled = sampled_users(roles)
    reviews_of_sampled = _scan(work, "*").join(sampled.lazy(), on="user_id", how="semi")
    latest = _latest(reviews_of_sampled, item_domains, Counter())
    interactions = latest.select(*INTERACTIONS.columns).sort("user_id", "time", "item_id")
    others = _interactions_of_others(work, item_domains, sampled) if include_others else []
    counts = {"reviews": reviews, **funnel, "users_by_type": {name: len(ids) for name, ids in members.items()}}
    texts = _item_texts(raw, item_domains, interactions, quarantine, quiet=quiet)
    empty = pl.DataFrame(schema=dict(INTERACTIONS.columns))
    return AmazonSample(texts, interactions, pl.concat([empty, *others]), roles, counts)


def _interactions_of_others(work: Path, item_domains: pl.DataFrame, sampled: pl.DataFrame) -> list[pl.DataFrame]:
    """Return, by bucket, the interactions of users who are not sampled but have a target item."""
    others = []
    for bucket in range(BUCKETS):
        reviews = _scan(work, f"{bucket:02d}").join(sampled.lazy(), on="user_id", how="anti")
        rows = _latest(reviews, item_domains, Counter()).select(*INTERACTIONS.columns)
        eligible = rows.filter(pl.col("domain") != KITREC.source).select("user_id").unique()
        others.append(rows.join(eligible, on="user_id", how="semi"))
    return others


def _copy_to_buckets(path: Path, folder: Path, quarantine: Quarantine, *, quiet: bool) -> int:
    """Copy valid reviews to parquet by bucket and return their number; a finished copy is reused."""
    if not folder.exists():
        of_file = Quarantine()
        with files.atomic(folder) as draft:
            batches = enumerate(_read_batches(path, of_file, quiet=quiet))
            rows = sum(_write_buckets(batch, draft, number) for number, batch in batches)
            if not rows:
                raise InputError(f"{path} holds no usable review: {of_file.reasons() or 'the file is empty'}")
            rejects = [asdict(reject) for reject in of_file.rejects]
            files.write_json({"rows": rows, "read": of_file.read, "rejects": rejects}, draft / ".read")
    summary = files.read_json(folder / ".read")
    quarantine.read += summary["read"]
    quarantine.rejects += [Reject(**reject) for reject in summary["rejects"]]
    return int(summary["rows"])


def _read_batches(path: Path, quarantine: Quarantine, *, quiet: bool) -> Iterator[pl.DataFrame]:
    """Yield blocks merged into larger frames, so that buckets are not many small files."""
    pending: list[pl.DataFrame] = []
    for block in read_reviews(path, quarantine, quiet=quiet):
        pending.append(block)
        if sum(frame.height for frame in pending) >= BATCH_ROWS:
            yield pl.concat(pending)
            pending = []
    if pending:
        yield pl.concat(pending)


def _write_buckets(rows: pl.DataFrame, folder: Path, number: int) -> int:
    by_bucket = rows.with_columns(bucket=pl.col("user_id").hash() % BUCKETS).partition_by(
        "bucket", as_dict=True, include_key=False
    )
    for (bucket,), part in by_bucket.items():
        bucket_folder = folder / f"{bucket:02d}"
        bucket_folder.mkdir(parents=True, exist_ok=True)
        part.write_parquet(bucket_folder / f"{number:04d}.parquet", compression="lz4")
    return rows.height


def _scan(work: Path, bucket: str) -> pl.LazyFrame:
    """Scan the copied reviews of all domains, with their domain."""
    paths_by_domain = [(domain, sorted((work / domain).glob(f"{bucket}/*.parquet"))) for domain in KITREC.names]
    parts = [pl.scan_parquet(paths).with_columns(domain=pl.lit(domain)) for domain, paths in paths_by_domain if paths]
    return pl.concat(parts) if parts else pl.LazyFrame(schema=dict(INTERACTIONS.columns))


def _item_domains(work: Path) -> pl.DataFrame:
    """Return (domain, item_id) of every reviewed item: the first domain that has a review of it."""
    reviewed = _scan(work, "*").select("domain", "item_id").unique().collect(engine="streaming")
    rank = pl.col("domain").replace_strict({domain: k for k, domain in enumerate(KITREC.names)}, return_dtype=pl.Int8)
    return reviewed.sort("item_id", rank).unique("item_id", keep="first", maintain_order=True)


def _latest(rows: pl.LazyFrame, item_domains: pl.DataFrame, funnel: Counter[str]) -> pl.DataFrame:
    """Return the latest of each user's reviews of an item, within the domain of the item."""
    read = rows.collect(engine="streaming")
    in_domain = read.join(item_domains, on=["domain", "item_id"], how="semi")
    latest = in_domain.sort("time", "rating").unique(["user_id", "item_id"], keep="last")
    funnel["reviews of another domain's item"] += read.height - in_domain.height
    funnel["older reviews of the same item"] += in_domain.height - latest.height
    return latest


def _item_texts(
    raw: RawFiles, item_domains: pl.DataFrame, interactions: pl.DataFrame, quarantine: Quarantine, *, quiet: bool
) -> pl.DataFrame:
    """Return the texts of all target items and of the books of the sampled users."""
    books = interactions.filter(pl.col("domain") == KITREC.source).select("item_id").unique()
    item_ids = {domain: item_domains.filter(pl.col("domain") == domain).select("item_id") for domain in KITREC.targets}
    item_ids = {KITREC.source: books, **item_ids}
    texts = [
        read_items(raw.meta[domain], domain, ids["item_id"].sort(), quarantine, quiet=quiet)
        for domain, ids in item_ids.items()
    ]
    return pl.concat(texts).select(*ITEMS.columns)
