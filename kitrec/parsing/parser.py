"""Parsing of a model's answer into a ranking. Never raises: every answer that cannot be parsed has a named status.

The ranking is the last JSON value after the thought that names items (grammar: json_extraction.py). Statuses:
    ok            at least one candidate was named
    no_answer     the engine returned an error instead of a text
    open_thought  a thought was opened and never closed
    no_json       no JSON object, or array of objects, with an `item_id`
    no_candidate  items were named, none of them is a candidate
An id that is no candidate keeps its rank: items behind it do not move up."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kitrec.parsing.json_extraction import objects

STATUSES = ("ok", "no_answer", "open_thought", "no_json", "no_candidate")
_CONTROL = re.compile(r"<\|[a-z_]+\|>")


@dataclass(frozen=True)
class ParsedAnswer:
    """Item ids by rank (invented ones included), with confidence and rationale of the first."""

    item_ids: list[str]
    status: str
    invalid_ids: list[str] = field(default_factory=list)
    confidence: float | None = None
    rationale: str | None = None
    thinking_characters: int = 0


def parse(text: str | None, candidates: Iterable[str]) -> ParsedAnswer:
    """Return the ranking that a text states."""
    if text is None:
        return ParsedAnswer([], "no_answer")
    thought, rest = split_thought(text)
    if rest is None:
        return ParsedAnswer([], "open_thought", thinking_characters=len(text))
    thinking = len(thought.replace("<think>", "").strip())
    entries = _entries(_CONTROL.sub("", rest))
    if not entries:
        return ParsedAnswer([], "no_json", thinking_characters=thinking)
    by_name = {_normalized(candidate): candidate for candidate in candidates}
    named = [str(entry["item_id"]).strip() for entry in entries]
    ids = list(dict.fromkeys(by_name.get(_normalized(name), name) for name in named))
    invalid = [item for item in ids if _normalized(item) not in by_name]
    status = "ok" if len(invalid) < len(ids) else "no_candidate"
    return ParsedAnswer(ids, status, invalid, _confidence(entries[0]), _rationale(entries[0]), thinking)


def split_thought(text: str) -> tuple[str, str | None]:
    """Return the thought and the text after it; None for the latter if the thought is never closed."""
    thought, closed, rest = text.rpartition("</think>")
    return (text, None) if not closed and "<think>" in text else (thought, rest)


def _entries(text: str) -> list[dict[str, Any]]:
    """Return the items of the last JSON value that names any, sorted by `rank` if all state one."""
    named = [[entry for entry in value if _names_an_item(entry)] for value in objects(text)]
    entries: list[dict[str, Any]] = next((value for value in reversed(named) if value), [])
    if all(_number(item.get("rank")) is not None for item in entries):
        entries.sort(key=lambda item: item["rank"])
    return entries


def _names_an_item(item: Mapping[str, Any]) -> bool:
    value = item.get("item_id")
    return isinstance(value, str | int) and not isinstance(value, bool)


def _normalized(name: str) -> str:
    """Return an id as it is compared: upper case, digits without leading zeros (a JSON number has none)."""
    return (name.lstrip("0") or "0") if name.isdigit() else name.upper()


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain and math.isfinite(value) else None


def _confidence(entry: Mapping[str, Any]) -> float | None:
    """Return a confidence of 0 to 10; anything else is None, never a default."""
    value = _number(entry.get("confidence_score"))
    return float(value) if value is not None and 0 <= value <= 10 else None


def _rationale(entry: Mapping[str, Any]) -> str | None:
    value = entry.get("rationale")
    return value if isinstance(value, str) and value.strip() else None
