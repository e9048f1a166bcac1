"""What is true of a record and speaks for an item: shared titles, series, names and categories, and what training users
who had an item of the history also had.

A statement is one sentence about `it`, the item that an output names; `Statement.text` writes it and `parse_statement`
reads it, so that every output can be checked. Users are counted in the histories of training users alone; held-out
items are in no history, so no count knows a ground truth."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.sources.title_links import NameFinder, as_written, holds_words, main_words, series_names

MOST_STATEMENTS = 3
LEAST_USERS, LEAST_LIFT = 2, 2.0  # users who had both items; how many times as many as by chance
MOST_COMMON_CATEGORY = 0.5  # share of the items above which a category says nothing
KINDS = ("title", "series", "name", "users", "category", "none")
_REF = r"(?P<item>“[^“”]*”|\(ID: [^()\s]+\))"  # other quotation marks would have to be escaped in the JSON answer
_QUOTED = r"(?P<name>“[^“”]*”)"
_PLAIN_MARKS = str.maketrans("“”", '""')
_COUNTS = r"(?P<count>\d+) of (?P<total>\d+)"
_FORMS = {
    "title": "It has the same main title as {item}.",
    "series": "It and {item} name the series {name}.",
    "name": "It and {item} share {name} in their titles.",
    "users": "{count} of {total} training users with {item} also had it.",
    "category": "Its category {name} occurs in {count} of {total} history items.",
    "none": "Nothing known links it to the history.",
}


def _pattern(form: str) -> re.Pattern[str]:
    text = re.escape(form).replace(re.escape("{count} of {total}"), _COUNTS)
    return re.compile(text.replace(re.escape("{item}"), _REF).replace(re.escape("{name}"), _QUOTED))


_PATTERNS = {kind: _pattern(form) for kind, form in _FORMS.items()}


@dataclass(frozen=True)
class Statement:
    """A sentence: its kind, the item of the history as it is shown (a title, or `(ID: …)`), a name, and two counts."""

    kind: str
    item: str = ""
    name: str = ""
    count: int = 0
    total: int = 0

    @property
    def text(self) -> str:
        """Return the sentence."""
        item = self.item if self.item.startswith("(ID: ") else _quoted(self.item)
        return _FORMS[self.kind].format(item=item, name=_quoted(self.name), count=self.count, total=self.total)


def parse_statement(sentence: str) -> Statement | None:
    """Return the statement that a sentence makes, or None if it has another form."""
    for kind, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(sentence.strip()):
            parts = match.groupdict()
            item, name = ((parts.get(key) or "").strip("“”") for key in ("item", "name"))
            return Statement(kind, item, name, int(parts.get("count") or 0), int(parts.get("total") or 0))
    return None


class Evidence:
    """Finds statements for an item and a history, the strongest kind first."""

    def __init__(self, items: pl.DataFrame, training_history: pl.DataFrame) -> None:
        columns = items.select("item_id", "title", "categories")
        self.items = {row["item_id"]: row for row in columns.iter_rows(named=True)}
        self._names = NameFinder(row["title"] for row in self.items.values() if row["title"])
        counts = Counter(name for row in self.items.values() for name in row["categories"])
        self._telling = {name for name, n in counts.items() if n <= MOST_COMMON_CATEGORY * len(self.items)}
        self._category_counts = counts
        self._users: dict[str, set[str]] = {}
        for user, item in training_history.select("user_id", "item_id").iter_rows():
            self._users.setdefault(item, set()).add(user)
        self._user_count = training_history["user_id"].n_unique()

    def statements(self, record: Mapping[str, Any]) -> list[Statement]:
        """Return at most MOST_STATEMENTS statements, of different kinds, that hold for the record's ground truth."""
        item, history = record["gt_item_id"], [*record["source_items"], *record["target_items"]]
        by_kind: dict[str, Statement] = {}
        for other in reversed(history):  # the newest item of equals
            if statement := self._title_statement(item, other):
                by_kind.setdefault(statement.kind, statement)
        for statement in (self._users_statement(item, history), self._category_statement(item, history)):
            if statement:
                by_kind[statement.kind] = statement
        return [by_kind[kind] for kind in KINDS if kind in by_kind][:MOST_STATEMENTS] or [Statement("none")]

    def shown(self, item: str) -> str:
        """Return an item as a statement shows it."""
        title: str | None = self.items[item]["title"]
        return shown_title(title) if title else f"(ID: {item})"

    def _title_statement(self, item: str, other: str) -> Statement | None:
        """Return the strongest thing that the titles of two items share."""
        title, other_title = self.items[item]["title"], self.items[other]["title"]
        if not title or not other_title:
            return None
        if main_words(title) == main_words(other_title) != ():
            return Statement("title", shown_title(other_title))
        for name in sorted(series_names(title) | series_names(other_title), key=lambda words: (-len(words), words)):
            if holds_words(title, name) and holds_words(other_title, name):
                return Statement("series", shown_title(other_title), as_written(title, name))
        shared = self._names.shared_name(title, other_title)
        return Statement("name", shown_title(other_title), as_written(title, shared)) if shared else None

    def _users_statement(self, item: str, history: Sequence[str]) -> Statement | None:
        """Return the item of the history whose training users had this one the most often against chance."""
        users, best = self._users.get(item, set()), (0.0, "", 0, 0)
        for other in history:
            others = self._users.get(other, set())
            both = len(users & others)
            if other != item and both >= LEAST_USERS:
                best = max(best, (both * self._user_count / (len(users) * len(others)), other, both, len(others)))
        lift, other, both, total = best
        return Statement("users", self.shown(other), "", both, total) if lift >= LEAST_LIFT else None

    def _category_statement(self, item: str, history: Sequence[str]) -> Statement | None:
        """Return the category of the item that is the most frequent in the history against the catalogue."""
        counts = Counter(name for other in history for name in set(self.items[other]["categories"]))
        shared = [
            name for name in dict.fromkeys(self.items[item]["categories"]) if counts[name] and name in self._telling
        ]
        if not shared:
            return None
        name = max(shared, key=lambda name: counts[name] / self._category_counts[name])
        return Statement("category", "", name, counts[name], len(history))


def sentences(output: str) -> Iterator[str]:
    """Yield the sentences of an output: the lines of its thought without the item that it ends with, then the rationale
    of its answer unless it repeats one of them."""
    thought, _, answer = output.rpartition("</think>")
    reasoning = thought.replace("<think>", "").rpartition(" -> (ID: ")[0]
    lines = [line.strip() for line in reasoning.split("\n") if line.strip()]
    yield from lines
    start, end = answer.find("{"), answer.rfind("}")
    rationale = str(json.loads(answer[start : end + 1]).get("rationale", "")) if 0 <= start < end else ""
    if rationale and rationale not in lines:
        yield rationale


def shown_title(title: str) -> str:
    """Return a title as statements hold it: their own quotation marks occur in none."""
    return title.translate(_PLAIN_MARKS)


def _quoted(text: str) -> str:
    return f"“{shown_title(text)}”"
