"""Fabricated raw files in the schema of Amazon Reviews 2023, of any size and with realistic dirt.

Users are of all ten types in turn. `dirty` adds other spellings of good rows, older duplicates, rows to be rejected and
a cut last line. The content of the good rows is returned, so that tests know what must come out."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from kitrec.core.domains import KITREC

RAW_NAMES = {"books": "Books", "movies": "Movies_and_TV", "music": "CDs_and_Vinyl"}
BOOKS_EACH, OVERLAPPING = 8, 7
USERS_AT_ONCE = 10_000
WORDS = " ".join(f"word{k}" for k in range(2000))


@dataclass(frozen=True)
class Size:
    """Size of the files: `depth` multiplies a user's interactions, `letters` is the mean length of a review."""

    users: int
    items: int
    depth: int = 1
    letters: int = 20
    remember: bool = True


@dataclass(frozen=True)
class Raw:
    """Files of a domain and the content of the good rows of its reviews: (user, item) -> (rating, time in ms)."""

    reviews: Path
    meta: Path
    good_rows: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)


def write(folder: Path, seed: int, users: int, items: int, *, dirty: bool, suffix: str = ".jsonl.gz") -> dict[str, Raw]:
    """Write reviews of `users` users and `items` items per domain."""
    return write_sized(folder, seed, Size(users, items), dirty=dirty, suffix=suffix)


def write_sized(folder: Path, seed: int, size: Size, *, dirty: bool, suffix: str = ".jsonl.gz") -> dict[str, Raw]:
    """Write the same with all sizes given, one group of users at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for k, (domain, name) in enumerate(RAW_NAMES.items()):
        rng = np.random.default_rng([seed, k])
        raw = files[domain] = Raw(folder / f"{name}{suffix}", folder / f"meta_{name}{suffix}")
        with _opened(raw.reviews) as stream:
            for first in range(0, size.users, USERS_AT_ONCE):
                lines = list(
                    _lines(rng, domain, range(first, min(first + USERS_AT_ONCE, size.users)), size, raw, dirty=dirty)
                )
                stream.writelines(f"{lines[i]}\n" for i in rng.permutation(len(lines)))
            stream.write('{not json\n\n["a", "list"]\n{"rating": 5.0, "user_id": "CUT' if dirty else "")
        with _opened(raw.meta) as stream:
            for item in range(size.items):
                stream.write(json.dumps(_item(rng, domain, item, dirty=dirty), ensure_ascii=False) + "\n")
    return files


def _lines(rng: np.random.Generator, domain: str, users: range, size: Size, raw: Raw, *, dirty: bool) -> Iterator[str]:
    kinds = list(KITREC.user_types.values())
    for k in users:
        kind = kinds[k % len(kinds)]
        target_count = (kind.max_target_items or OVERLAPPING * size.depth) if domain == kind.target else 0
        count = BOOKS_EACH * size.depth if domain == KITREC.source else target_count
        times = np.sort(rng.integers(1_300_000_000_000, 1_500_000_000_000, count))
        late = 200_000_000_000 if domain != KITREC.source else 0  # target items come after the books
        items, ratings = _different(rng, size.items, count), rng.integers(1, 6, count)
        for item, time, rating in zip(items, (times + late).tolist(), ratings.tolist(), strict=True):
            row = _review(rng, f"AE{k:026d}", _asin(domain, item), float(rating), time, size.letters)
            if size.remember:
                raw.good_rows[row["user_id"], row["asin"]] = (float(rating), time)
            yield from _with_dirt(rng, row) if dirty else [json.dumps(row)]


def _different(rng: np.random.Generator, population: int, count: int) -> list[int]:
    """Draw `count` different numbers below `population`, small ones (popular items) more often."""
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn |= dict.fromkeys((rng.random(2 * count) ** 2 * population).astype(int).tolist())
    return list(drawn)[:count]


def _review(rng: np.random.Generator, user: str, asin: str, rating: float, time: int, letters: int) -> dict[str, Any]:
    start, length = int(rng.integers(5000)), int(rng.exponential(letters))
    return {
        "rating": rating,
        "title": "A title",
        "text": "\u2028" + WORDS[start : start + length],
        "images": [],
        "asin": asin,
        "parent_asin": asin,
        "user_id": user,
        "timestamp": time,
        "helpful_vote": 0,
        "verified_purchase": True,
    }


def _asin(domain: str, item: int) -> str:
    return f"B{list(KITREC.labels).index(domain)}{item:08d}"


def _with_dirt(rng: np.random.Generator, row: dict[str, Any]) -> Iterator[str]:
    """Yield a good row, perhaps spelled differently, with an earlier duplicate or with a row to be rejected."""
    chance = rng.random()
    if chance < 0.05:
        row["rating"] = str(row["rating"])
    elif chance < 0.10:
        row["timestamp"] = str(row["timestamp"])
    yield json.dumps(row)
    if chance > 0.95:
        yield json.dumps({**row, "timestamp": int(row["timestamp"]) - 1000, "rating": 1.0})
    if chance > 0.99:
        yield json.dumps({**row, **BAD[int(rng.integers(len(BAD)))]})


BAD: tuple[dict[str, Any], ...] = (
    {"user_id": None},
    {"user_id": ""},
    {"parent_asin": None},
    {"rating": None},
    {"rating": "five"},
    {"rating": 0.0},
    {"timestamp": "yesterday"},
    {"timestamp": 12},
)


def _item(rng: np.random.Generator, domain: str, k: int, *, dirty: bool) -> dict[str, Any]:
    chance = rng.random() if dirty else 1.0
    return {
        "main_category": KITREC.labels[domain],
        "title": None
        if chance < 0.2
        else f"Caf&eacute; &amp; <b>No.</b> {k}\u2028again"
        if chance < 0.4
        else f"Item {k}",
        "average_rating": 4.2 if chance > 0.1 else "n/a",
        "rating_number": 10,
        "features": [],
        "description": None
        if chance < 0.1
        else "A string"
        if chance < 0.3
        else ['First "part".', "Second\tpart \\ end."],
        "price": None,
        "images": [],
        "videos": [],
        "store": None,
        "categories": [] if chance < 0.1 else [KITREC.labels[domain], f"Genre {k % 7}", f"Shelf, {k % 3}"],
        "details": {"Publication date": "May 4, 2012"},
        "parent_asin": _asin(domain, k),
    }


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "wt", encoding="utf-8", compresslevel=1)
    return path.open("w", encoding="utf-8")
