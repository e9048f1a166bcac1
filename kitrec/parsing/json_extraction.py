"""Extraction of JSON values from prose written by language models.

    text    = { prose | value }            prose is everything that does not begin a value
    value   = object | array | cut
    object  = { "key": json, … [,] }       a trailing comma is accepted
    array   = [ object, … [,] ]
    cut     = [ object, … the text ends, or continues with something else

The complete objects of a truncated array count. Strict JSON is tried first, the tolerant reading only if it fails."""

import json
import re
from collections.abc import Iterator
from typing import Any

_DECODER = json.JSONDecoder()
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"?|,(?=\s*[}\]])', re.DOTALL)
MAX_DEPTH = 8
_GAP = re.compile(r"[\s,]*")


def objects(text: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the objects of every JSON value in a text, one list per value; values without objects are skipped."""
    position = 0
    while (start := _next_bracket(text, position)) >= 0:
        entries, position = _value(text, start)
        if entries:
            yield entries


def _value(text: str, start: int) -> tuple[list[dict[str, Any]], int]:
    """Return the objects of the value at `start` and its end; an empty list and the next position if there is none."""
    decoded = _decoded(text, start)
    if decoded is not None:
        value, end = decoded
        return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)], end
    if text[start] == "[":
        entries, end = _truncated_array(text, start + 1)
        if entries:
            return entries, end
    return [], start + 1


def _truncated_array(text: str, position: int) -> tuple[list[dict[str, Any]], int]:
    """Return the complete objects of an array from `position` on, and the end of the last one."""
    entries: list[dict[str, Any]] = []
    while True:
        gap = _GAP.match(text, position)
        start = gap.end() if gap else position
        decoded = _decoded(text, start) if text[start : start + 1] == "{" else None
        if decoded is None:
            return entries, position
        entries.append(decoded[0])
        position = decoded[1]


def _decoded(text: str, start: int) -> tuple[Any, int] | None:
    """Return (value, end) of the JSON at `start`; trailing commas are accepted."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        end = _balanced_end(text, start)
    try:
        return (json.loads(_without_trailing_commas(text[start:end])), end) if end else None
    except (ValueError, RecursionError):
        return None


def _balanced_end(text: str, start: int) -> int | None:
    """Return the end of the brackets opened at `start`; None if they never close or nest deeper than MAX_DEPTH."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match.group(), 0)
        if depth == 0:
            return match.end()
        if depth > MAX_DEPTH:
            return None
    return None


def _without_trailing_commas(text: str) -> str:
    return _STRING_OR_COMMA.sub(lambda match: "" if match.group() == "," else match.group(), text)


def _next_bracket(text: str, position: int) -> int:
    starts = [k for k in (text.find("{", position), text.find("[", position)) if k >= 0]
    return min(starts, default=-1)
