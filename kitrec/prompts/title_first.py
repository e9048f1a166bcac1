"""Answers that begin with the item's title instead of its id (`prompt.answer_begins_with: title`).

    {"rank": 1, "item_id": "B1", "title": "Sea", …   becomes   {"rank": 1, "title": "Sea", "item_id": "B1", …
All else of an output stays, but for the wording of the title: it becomes the one that the prompt shows, escaped as in
all answers that are written here, so that what is learned is what is scored."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from kitrec.core.errors import InputError
from kitrec.prompts.json_fields import Field, fields_at, in_quotes
from kitrec.prompts.shown_items import UNKNOWN, Item, candidate_items
from kitrec.prompts.thought_marks import END_THINK


def shown_titles(record: Mapping[str, Any], items: Mapping[str, Item]) -> tuple[str, ...]:
    """Return the titles of the candidates as the record's prompt shows them, in its order."""
    return tuple(item["title"] or UNKNOWN for item in candidate_items(record, items))


def with_title_first(output: str, record: Mapping[str, Any], items: Mapping[str, Item], item: str) -> str:
    """Return an output that names `item`, a candidate of the record, with the title before the id."""
    end_think = output.find(END_THINK)
    answer = end_think + len(END_THINK) if end_think >= 0 else 0
    fields = _fields_with_id(output, answer)
    by_key = {field.key: field for field in fields}
    if "title" not in by_key or len(by_key) < len(fields) or by_key["item_id"].value != item:
        raise InputError(
            f"prompt.answer_begins_with: the answer of {record['record_id']} cannot begin with the title: its first "
            f"JSON object with an item_id must name {item} and have a title, each key once, not "
            f"{output[answer:].strip()[:120]!r}; correct it in the data, or set prompt.answer_begins_with to id"
        )
    title = dict(zip(record["candidate_ids"], shown_titles(record, items), strict=True))[item]
    return _title_before_id(output, fields, title)


def _fields_with_id(text: str, start: int) -> list[Field]:
    """Return the fields of the first JSON object from `start` on that names an item_id; none if there is none."""
    while (start := text.find("{", start)) >= 0:
        fields = fields_at(text, start)
        if any(field.key == "item_id" and isinstance(field.value, str) for field in fields):
            return fields
        start += 1
    return []


def _title_before_id(text: str, fields: Sequence[Field], title: str) -> str:
    """Return the text with this title before the id; what stands between the fields stays in its place."""
    parts = {field.key: text[field.start : field.end] for field in fields}
    key = next(text[field.start : field.begin] for field in fields if field.key == "title")
    parts["title"] = f'{key}"{in_quotes(title)}"'
    order = [name for name in parts if name != "title"]
    order.insert(order.index("item_id"), "title")
    between = [text[a.end : b.start] for a, b in pairwise(fields)]
    moved = "".join(parts[name] + after for name, after in zip(order, [*between, ""], strict=True))
    return text[: fields[0].start] + moved + text[fields[-1].end :]
