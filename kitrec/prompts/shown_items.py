"""The items of a record as its prompt shows them: by the texts of its own published prompt, otherwise by the catalogue.

A review belongs to its user and an average rating to its list, so texts of published prompts are never shared between
records. Histories only ever lose their oldest items, so they are aligned at their ends; candidates are found by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

UNKNOWN = "Unknown"
Item = Mapping[str, Any]


@dataclass(frozen=True)
class ShownItems:
    """The items of both histories and of the candidate list, in the order of a record's ids."""

    source: Sequence[Item]
    target: Sequence[Item]
    candidates: Sequence[Item]

    def without_oldest(self, source: int, target: int) -> "ShownItems":
        """Return the items with that many fewer in each history."""
        return replace(self, source=self.source[source:], target=self.target[target:])

    def without_summaries(self, history: int, *, candidates: bool) -> "ShownItems":
        """Return the items without the summaries of the first `history` items, books before target items, and without
        those of all candidates if requested."""
        books = min(history, len(self.source))
        return ShownItems(
            [*map(_bare, self.source[:books]), *self.source[books:]],
            [*map(_bare, self.target[: history - books]), *self.target[history - books :]],
            [*map(_bare, self.candidates)] if candidates else self.candidates,
        )


def shown_items(record: Mapping[str, Any], items: Mapping[str, Item]) -> ShownItems:
    """Return what the prompt of a record shows; `items` is the catalogue."""
    return ShownItems(
        history_items(record, items, "source"), history_items(record, items, "target"), candidate_items(record, items)
    )


def history_items(record: Mapping[str, Any], items: Mapping[str, Item], side: str) -> list[Item]:
    """Return the items of the `source` or `target` history."""
    ids, texts = record[f"{side}_items"], record.get(f"{side}_texts")
    if texts is None:
        return [items[item] for item in ids]
    return [_described(text) for text in texts[len(texts) - len(ids) :]]


def candidate_items(record: Mapping[str, Any], items: Mapping[str, Item]) -> list[Item]:
    """Return the candidates, in the order in which the record lists them now."""
    if (texts := record.get("candidate_texts")) is None:
        return [items[item] for item in record["candidate_ids"]]
    described = {text["item_id"]: text for text in texts}
    return [_described(described[item]) for item in record["candidate_ids"]]


def _described(text: Mapping[str, Any]) -> Item:
    return {**text, "categories": text["categories"].split(", ") if text["categories"] else []}


def _bare(item: Item) -> Item:
    return {**item, "description": None}
