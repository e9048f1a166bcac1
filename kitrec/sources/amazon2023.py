"""Amazon Reviews 2023 as what users, splits and candidates are drawn from, in memory that does not grow with the files.

1. Every good review is copied to parquet, spread over buckets by user, so that a bucket holds all reviews of its users.
2. Bucket by bucket users are classified; of a user's reviews of one item the latest counts.
3. Users are sampled; only their interactions are read back, and the texts of all items their lists can show.
   Where models are to learn from everyone, the others' interactions are read too, and memory grows with the files.
An item belongs to one domain: the first that has a review of it; its reviews elsewhere are passed over."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from kitrec.core import files
from kitrec.core.domains import LABELS, SOURCE, TARGETS
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Users
from kitrec.preprocessing.users import Groups, classify, ends, sample_roles, sampled_users
from kitrec.schemas.interactions import INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.sources.amazon_reviews import items, reviews
from kitrec.sources.quarantine import Quarantine, Reject

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet")
BUCKETS = 16
ROWS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Raw:
    """Review and meta file of each domain."""

    reviews: Mapping[str, Path]
    meta: Mapping[str, Path]


@dataclass(frozen=True)
class Crawl:
    """The items that lists can show, the sampled users' interactions and roles, those of others with a target item
    (where asked for), and what became of everybody."""

    items: pl.DataFrame
    interactions: pl.DataFrame
    others: pl.DataFrame
    roles: Groups
    counts: dict[str, Any]


def find(folder: Path, names: Mapping[str, str]) -> Raw:
    """The files of each domain's name: `Books.jsonl.gz` and `meta_Books.jsonl.gz`, or .jsonl, or .parquet."""
    found = {
        stem: [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
        for name in names.values()
        for stem in (name, f"meta_{name}")
    }
    there = {stem: next((path for path in paths if path.exists()), None) for stem, paths in found.items()}
    missing = [stem for stem, path in there.items() if path is None]
    if missing:
        raise InputError(
            f"{folder} lacks {', '.join(missing)} ({', '.join(SUFFIXES)}): raw/README.md says where to get them"
        )
    paths = {stem: path for stem, path in there.items() if path}
    return Raw({d: paths[name] for d, name in names.items()}, {d: paths[f"meta_{name}"] for d, name in names.items()})


def load(
    raw: Raw, seed: int, users: Users, work: Path, quarantine: Quarantine, *, everyone: bool, quiet: bool
) -> Crawl:
    """Sample users of every type; `work` keeps the copies, so that a killed run reads no file twice."""
    copied = {domain: _copied(raw.reviews[domain], work / domain, quarantine, quiet=quiet) for domain in LABELS}
    owned = _owned(work)
    members: dict[str, list[str]] = {}
    funnel: Counter[str] = Counter()
    for bucket in tqdm(range(BUCKETS), desc="users by type", disable=quiet):
        rows = _latest(_scan(work, f"{bucket:02d}"), owned, funnel)
        for kind, ids in classify(rows).items():
            members.setdefault(kind, []).extend(ids)
        cases = ends(rows)
        funnel["users"] += rows["user_id"].n_unique()
        funnel["users with a target item"] += cases["user_id"].n_unique()
        funnel.update(dict(cases["unfit"].drop_nulls().value_counts().iter_rows()))
    roles = sample_roles(seed, members, users)
    sampled = sampled_users(roles)
    theirs = _scan(work, "*").join(sampled.lazy(), on="user_id", how="semi")
    interactions = _latest(theirs, owned, Counter()).select(*INTERACTIONS.columns).sort("user_id", "time", "item_id")
    others = [pl.DataFrame(schema=dict(INTERACTIONS.columns))]
    for bucket in range(BUCKETS) if everyone else ():
        theirs = _scan(work, f"{bucket:02d}").join(sampled.lazy(), on="user_id", how="anti")
        rows = _latest(theirs, owned, Counter()).select(*INTERACTIONS.columns)
        able = rows.filter(pl.col("domain") != SOURCE).select("user_id").unique()
        others.append(rows.join(able, on="user_id", how="semi"))
    counts = {"reviews": copied, **funnel, "users_by_type": {kind: len(ids) for kind, ids in members.items()}}
    texts = _texts(raw, owned, interactions, quarantine, quiet=quiet)
    return Crawl(texts, interactions, pl.concat(others), roles, counts)


def _copied(path: Path, folder: Path, quarantine: Quarantine, *, quiet: bool) -> int:
    """Good reviews as parquet by bucket; how many. What was read before the run was killed is not read again."""
    if not folder.exists():
        own = Quarantine()
        with files.atomic(folder) as draft:
            rows = sum(_spread(batch, draft, number) for number, batch in enumerate(_batches(path, own, quiet=quiet)))
            if not rows:
                raise InputError(f"{path} holds no usable review: {own.reasons() or 'the file is empty'}")
            files.write_json(
                {"rows": rows, "read": own.read, "rejects": [asdict(r) for r in own.rejects]}, draft / ".read"
            )
    done = files.read_json(folder / ".read")
    quarantine.read += done["read"]
    quarantine.rejects += [Reject(**reject) for reject in done["rejects"]]
    return int(done["rows"])


def _batches(path: Path, quarantine: Quarantine, *, quiet: bool) -> Iterator[pl.DataFrame]:
    """Blocks gathered to larger frames, so that buckets are not many small files."""
    held: list[pl.DataFrame] = []
    for block in reviews(path, quarantine, quiet=quiet):
        held.append(block)
        if sum(frame.height for frame in held) >= ROWS_AT_ONCE:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _spread(rows: pl.DataFrame, folder: Path, number: int) -> int:
    by_bucket = rows.with_columns(bucket=pl.col("user_id").hash() % BUCKETS).partition_by(
        "bucket", as_dict=True, include_key=False
    )
    for (bucket,), part in by_bucket.items():
        place = folder / f"{bucket:02d}"
        place.mkdir(parents=True, exist_ok=True)
        part.write_parquet(place / f"{number:04d}.parquet", compression="lz4")
    return rows.height


def _scan(work: Path, bucket: str) -> pl.LazyFrame:
    """Copied reviews of all domains, with their domain."""
    found = [(domain, sorted((work / domain).glob(f"{bucket}/*.parquet"))) for domain in LABELS]
    parts = [pl.scan_parquet(paths).with_columns(domain=pl.lit(domain)) for domain, paths in found if paths]
    return pl.concat(parts) if parts else pl.LazyFrame(schema=dict(INTERACTIONS.columns))


def _owned(work: Path) -> pl.DataFrame:
    """(domain, item_id) of every reviewed item, in its own domain."""
    every = _scan(work, "*").select("domain", "item_id").unique().collect(engine="streaming")
    rank = pl.col("domain").replace_strict({domain: k for k, domain in enumerate(LABELS)}, return_dtype=pl.Int8)
    return every.sort("item_id", rank).unique("item_id", keep="first", maintain_order=True)


def _latest(rows: pl.LazyFrame, owned: pl.DataFrame, funnel: Counter[str]) -> pl.DataFrame:
    """Of each user's reviews of an item in its own domain the latest."""
    read = rows.collect(engine="streaming")
    own = read.join(owned, on=["domain", "item_id"], how="semi")
    latest = own.sort("time", "rating").unique(["user_id", "item_id"], keep="last")
    funnel["reviews of another domain's item"] += read.height - own.height
    funnel["older reviews of the same item"] += own.height - latest.height
    return latest


def _texts(
    raw: Raw, owned: pl.DataFrame, interactions: pl.DataFrame, quarantine: Quarantine, *, quiet: bool
) -> pl.DataFrame:
    """The texts of all target items and of the books the sampled users met."""
    met = interactions.filter(pl.col("domain") == SOURCE).select("item_id").unique()
    wanted = {domain: owned.filter(pl.col("domain") == domain).select("item_id") for domain in TARGETS}
    wanted = {SOURCE: met, **wanted}
    texts = [
        items(raw.meta[domain], domain, ids["item_id"].sort(), quarantine, quiet=quiet)
        for domain, ids in wanted.items()
    ]
    return pl.concat(texts).select(*ITEMS.columns)
