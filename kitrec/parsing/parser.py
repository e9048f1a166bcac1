"""From a text to what it says. Never raises: whatever cannot be read has a named status.

What counts as written: after the thought, the last JSON value that names items (grammar: json_text.py). Statuses:
    ok            at least one candidate was named
    no_answer     the engine returned an error instead of a text
    open_thought  a thought was begun and never closed
    no_json       no JSON object, or array of objects, with an `item_id`
    no_candidate  items were named, none of them is a candidate
An id that is no candidate keeps its place: what stands behind it does not move up."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kitrec.parsing.json_extraction import objects

STATUSES = ("ok", "no_answer", "open_thought", "no_json", "no_candidate")
_CONTROL = re.compile(r"<\|[a-z_]+\|>")


@dataclass(frozen=True)
class Written:
    """Ids in their order of rank (invented ones among them), and what was said of the first."""

    item_ids: list[str]
    status: str
    invalid_ids: list[str] = field(default_factory=list)
    confidence: float | None = None
    rationale: str | None = None
    thinking_characters: int = 0


def parse(text: str | None, candidates: Iterable[str]) -> Written:
    """The ranking a text writes down."""
    if text is None:
        return Written([], "no_answer")
    thought, rest = split_thought(text)
    if rest is None:
        return Written([], "open_thought", thinking_characters=len(text))
    thinking = len(thought.replace("<think>", "").strip())
    entries = _entries(_CONTROL.sub("", rest))
    if not entries:
        return Written([], "no_json", thinking_characters=thinking)
    by_name = {_folded(candidate): candidate for candidate in candidates}
    named = [str(entry["item_id"]).strip() for entry in entries]
    ids = list(dict.fromkeys(by_name.get(_folded(name), name) for name in named))
    invalid = [item for item in ids if _folded(item) not in by_name]
    status = "ok" if len(invalid) < len(ids) else "no_candidate"
    return Written(ids, status, invalid, _confidence(entries[0]), _rationale(entries[0]), thinking)


def split_thought(text: str) -> tuple[str, str | None]:
    """What was thought and what follows it; nothing does where a thought was begun and never closed."""
    thought, closed, rest = text.rpartition("</think>")
    return (text, None) if not closed and "<think>" in text else (thought, rest)


def _entries(text: str) -> list[dict[str, Any]]:
    """The items of the last JSON value that names any, sorted by `rank` where all give one."""
    named = [[item for item in found if _names_an_item(item)] for found in objects(text)]
    entries: list[dict[str, Any]] = next((found for found in reversed(named) if found), [])
    if all(_number(item.get("rank")) is not None for item in entries):
        entries.sort(key=lambda item: item["rank"])
    return entries


def _names_an_item(item: Mapping[str, Any]) -> bool:
    value = item.get("item_id")
    return isinstance(value, str | int) and not isinstance(value, bool)


def _folded(name: str) -> str:
    """An id as it is compared: letters in one case, digits without zeros before them (a number has none)."""
    return (name.lstrip("0") or "0") if name.isdigit() else name.upper()


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain and math.isfinite(value) else None


def _confidence(entry: Mapping[str, Any]) -> float | None:
    """1-10 as the schema asks; anything else is no confidence, never a default."""
    value = _number(entry.get("confidence_score"))
    return float(value) if value is not None and 1 <= value <= 10 else None


def _rationale(entry: Mapping[str, Any]) -> str | None:
    value = entry.get("rationale")
    return value if isinstance(value, str) and value.strip() else None
