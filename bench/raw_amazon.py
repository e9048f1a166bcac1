"""Raw files in the schema of Amazon Reviews 2023, of any size, with the dirt of the real ones: tests and benchmarks.

Users are of all ten types in turn. `dirty` adds other spellings of good rows, older duplicates, rows to be set aside
and a cut last line; what the good rows say is known, so that a test can say what must come out."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.domains import LABELS, SOURCE, USER_TYPES

RAW_NAMES = {"books": "Books", "movies": "Movies_and_TV", "music": "CDs_and_Vinyl"}
BOOKS_EACH = 8
OVERLAPPING = 7


@dataclass(frozen=True)
class Raw:
    """The files of a domain and what the good rows of its reviews say: (user, item) -> (rating, time in ms)."""

    reviews: Path
    meta: Path
    truth: dict[tuple[str, str], tuple[float, int]]


def write(folder: Path, seed: int, users: int, items: int, *, dirty: bool, suffix: str = ".jsonl.gz") -> dict[str, Raw]:
    """`users` users and `items` items per domain."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        domain: _domain(folder, np.random.default_rng([seed, k]), domain, users, items, dirty=dirty, suffix=suffix)
        for k, domain in enumerate(LABELS)
    }


def _domain(
    folder: Path, rng: np.random.Generator, domain: str, users: int, items: int, *, dirty: bool, suffix: str
) -> Raw:
    name = RAW_NAMES[domain]
    truth: dict[tuple[str, str], tuple[float, int]] = {}
    lines = [json.dumps(review) for review in _reviews(rng, domain, users, items, truth)]
    if dirty:
        lines = _soiled(rng, lines)
    rng.shuffle(lines)
    reviews, meta = folder / f"{name}{suffix}", folder / f"meta_{name}{suffix}"
    _write(reviews, [*lines, '{"rating": 5.0, "user_id": "CUT'] if dirty else lines)
    _write(meta, [json.dumps(_item(rng, domain, k, dirty=dirty), ensure_ascii=False) for k in range(items)])
    return Raw(reviews, meta, truth)


def _reviews(
    rng: np.random.Generator, domain: str, users: int, items: int, truth: dict[tuple[str, str], tuple[float, int]]
) -> Iterator[dict[str, Any]]:
    kinds = list(USER_TYPES.values())
    for k in range(users):
        kind = kinds[k % len(kinds)]
        count = BOOKS_EACH if domain == SOURCE else (kind.most or OVERLAPPING) if domain == kind.target else 0
        times = np.sort(rng.integers(1_300_000_000_000, 1_500_000_000_000, count))
        late = 200_000_000_000 if domain != SOURCE else 0  # target items come after the books
        for item, time in zip(rng.choice(items, count, replace=False), times.tolist(), strict=True):
            user, asin, stars = f"AE{k:026d}", _asin(domain, int(item)), float(rng.integers(1, 6))
            truth[user, asin] = (stars, time + late)
            yield _review(user, asin, stars, time + late)


def _review(user: str, asin: str, stars: Any, time: Any) -> dict[str, Any]:
    return {
        "rating": stars,
        "title": "A title",
        "text": "Some words\u2028of review",
        "images": [],
        "asin": asin,
        "parent_asin": asin,
        "user_id": user,
        "timestamp": time,
        "helpful_vote": 0,
        "verified_purchase": True,
    }


def _asin(domain: str, item: int) -> str:
    return f"B{list(LABELS).index(domain)}{item:08d}"


def _soiled(rng: np.random.Generator, lines: list[str]) -> list[str]:
    """Other spellings of good rows, earlier duplicates, and rows that must be set aside."""
    soiled = []
    for line in lines:
        row, chance = json.loads(line), rng.random()
        if chance < 0.05:
            row["rating"] = str(row["rating"])
        elif chance < 0.10:
            row["timestamp"] = str(row["timestamp"])
        soiled.append(json.dumps(row))
        if chance > 0.95:
            soiled.append(json.dumps({**row, "timestamp": int(row["timestamp"]) - 1000, "rating": 1.0}))  # older
        if chance > 0.99:
            soiled.append(json.dumps({**row, **BAD[int(rng.integers(len(BAD)))]}))
    return [*soiled, "{not json", "", '["a", "list"]']


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
        "main_category": LABELS[domain],
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
        "categories": [] if chance < 0.1 else [LABELS[domain], f"Genre {k % 7}", f"Shelf, {k % 3}"],
        "details": {"Publication date": "May 4, 2012"},
        "parent_asin": _asin(domain, k),
    }


def _write(path: Path, lines: list[str]) -> None:
    text = "\n".join(lines)
    if path.suffix == ".gz":
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as stream:
            stream.write(text)
    else:
        path.write_text(text, encoding="utf-8")
