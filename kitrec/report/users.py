"""Data of the user explorer: what is on record of every test user, packed so that the page stays small.

All texts stay texts: the page puts them into elements as they are. Words of a thought are marked where they are the
title, the id or a category of an item in the user's history (whole words in any case, the longest first)."""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEPTH = 10  # ranks shown of every method
LIMIT = 1000  # users of a test set on the page, so that it stays below 5 MB
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a method wrote about a record, and how it was parsed."""

    text: str | None
    status: str
    confidence: float | None
    thought: str
    rationale: str
    mentions: Sequence[str]  # titles of history items in thought and rationale
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True)
class UserRecord:
    """A test record with the rankings (name -> item ids) and answers (method -> answer) of all methods."""

    record: Row
    rankings: Mapping[str, Sequence[str]]
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class People:
    """The explorer's packed data and the choices of its filters."""

    packed: str
    note: str
    set_options: list[tuple[str, str]]
    domain_options: list[tuple[str, str]]
    type_options: list[tuple[str, str]]
    method_options: list[tuple[str, str]]


@dataclass
class Catalogue:
    """Numbers the items, origins and so on that records name, so that each text is stored once."""

    items: Mapping[str, Row]
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, item: str) -> int:
        """Return the number of an item."""
        return self.numbers.setdefault(item, len(self.numbers))

    def entries(self) -> list[list[Any]]:
        """Return id, title and categories by number."""
        rows = [self.items[item] for item in self.numbers]
        return [[row["item_id"], row["title"], ", ".join(row["categories"])] for row in rows]


def people(
    sets: Mapping[str, Sequence[UserRecord]],
    items: Mapping[str, Row],
    labels: Mapping[str, str],
    methods: Mapping[str, Mapping[str, str]],
) -> People:
    """Return the explorer of all test sets; `labels` of domains has `source`, `methods` is role -> name -> colour."""
    catalogue = Catalogue(items)
    origins = sorted({o for users in sets.values() for user in users for o in user.record["candidate_origins"]})
    kept = {which: _chosen(users) for which, users in sets.items()}
    entries = {w: [_entry(user, w, catalogue, origins) for user in users] for w, users in kept.items()}
    present = {name for users in kept.values() for user in users for name in user.rankings}
    names = [name for role in methods.values() for name in role]
    ranked = [label for name in names for label in (name, f"{name} (written)") if label in present]
    data = {
        "sets": entries,
        "labels": dict(labels),
        "origins": origins,
        "methods": ranked,
        "learned": [name for name in ranked if name.removesuffix(" (written)") in methods["learned"]],
        "colours": {name: colour for role in methods.values() for name, colour in role.items()},
        "items": catalogue.entries(),
    }
    first = next(iter(kept.values()))
    types = list(dict.fromkeys(user.record["user_type"] for user in first))
    domains = sorted({user.record["target"] for user in first})
    return People(
        packed(data),
        _note({which: len(users) for which, users in sets.items()}, len(first)),
        [(which, f"set {which}") for which in sets],
        [(name, labels.get(name, name)) for name in domains],
        [(name, name.replace("_", " ")) for name in types],
        [(name, name) for name in ranked],
    )


def packed(data: Any) -> str:
    """Return data as JSON, deflated (zlib) and in base64."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def supported_spans(text: str, names: Iterable[str | None]) -> list[list[int]]:
    """Return where (start, end) names stand in a text as whole words, without overlaps, in their order."""
    usable = {name.strip() for name in names if name and sum(letter.isalnum() for letter in name) > 1}
    if not usable:
        return []
    longest = sorted(usable, key=len, reverse=True)
    patterns = [r"\s+".join(map(re.escape, name.split())) for name in longest]
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)
    return [[match.start(), match.end()] for match in pattern.finditer(text)]


def _entry(user: UserRecord, which: str, catalogue: Catalogue, origins: Sequence[str]) -> dict[str, Any]:
    record, number = user.record, catalogue.number
    history = [*record["source_items"], *record["target_items"]]
    names = [name for item in history for name in _names(catalogue.items[item])]
    candidates = set(record["candidate_ids"])
    return {
        "id": f"{record['user_id']}:{record['target']}",
        "user": record["user_id"],
        "set": which,
        "domain": record["target"],
        "type": record["user_type"],
        "core": record["core"],
        "source": _rated(record, "source", catalogue),
        "target": _rated(record, "target", catalogue),
        "candidates": [
            [number(item), origins.index(origin)]
            for item, origin in zip(record["candidate_ids"], record["candidate_origins"], strict=True)
        ],
        "truth": number(record["gt_item_id"]),
        "rating": record["gt_rating"],
        "ranked": {
            name: [number(item) if item in candidates else item for item in ids[:DEPTH]]
            for name, ids in user.rankings.items()
        },
        "places": {
            name: ids.index(record["gt_item_id"]) + 1
            for name, ids in user.rankings.items()
            if record["gt_item_id"] in ids
        },
        "answers": {method: _answer(answer, names) for method, answer in user.answers.items()},
    }


def _answer(answer: Answer, names: Sequence[str | None]) -> dict[str, Any]:
    parts = [("Thought", answer.thought), ("Rationale", answer.rationale)]
    return {
        "text": answer.text,
        "status": answer.status,
        "confidence": answer.confidence,
        "reasoning": [[name, text, supported_spans(text, names)] for name, text in parts if text.strip()],
        "mentions": list(answer.mentions),
        "prompt_tokens": answer.prompt_tokens,
        "answer_tokens": answer.answer_tokens,
    }


def _rated(record: Row, side: str, catalogue: Catalogue) -> list[list[Any]]:
    pairs = zip(record[f"{side}_items"], record[f"{side}_ratings"], strict=True)
    return [[catalogue.number(item), rating] for item, rating in pairs]


def _names(item: Row) -> list[str | None]:
    return [item["title"], item["item_id"], *item["categories"]]


def _chosen(users: Sequence[UserRecord]) -> Sequence[UserRecord]:
    """Return the users on the page: all, or those of evenly spaced places among the ordered records."""
    ordered = sorted(users, key=lambda user: str(user.record["record_id"]))
    if len(ordered) <= LIMIT:
        return ordered
    return [ordered[k * len(ordered) // LIMIT] for k in range(LIMIT)]


def _note(users: Mapping[str, int], shown: int) -> str:
    whole = max(users.values())
    number = f"All {shown} test records" if shown == whole else f"{shown} of {whole} test records, evenly spaced"
    return (
        f"{number} of every test set. Marked in thoughts and rationales: titles, ids and categories of items in the "
        "user's history. Arrow keys move through the list."
    )
