"""JSON in the middle of prose, as language models write it.

    text    = { prose | value }            prose is whatever does not begin a value
    value   = object | array | cut
    object  = { "key": json, … [,] }       a trailing comma is forgiven
    array   = [ object, … [,] ]
    cut     = [ object, … the text ends, or goes on with no object

Of a cut array the whole objects count. Strict JSON is tried first; the forgiving reading only where that fails."""

import json
import re
from collections.abc import Iterator
from typing import Any

_DECODER = json.JSONDecoder()
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"?|,(?=\s*[}\]])', re.DOTALL)
DEEPEST = 8
_GAP = re.compile(r"[\s,]*")


def objects(text: str) -> Iterator[list[dict[str, Any]]]:
    """The objects of every value in a text, in order: one list per value; what no object came out of is left out."""
    position = 0
    while (start := _next_bracket(text, position)) >= 0:
        found, position = _value(text, start)
        if found:
            yield found


def _value(text: str, start: int) -> tuple[list[dict[str, Any]], int]:
    """The objects of the value at `start` and where it ends; nothing and the next place where there is none."""
    read = _decoded(text, start)
    if read is not None:
        value, end = read
        return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)], end
    if text[start] == "[":
        found, end = _cut_array(text, start + 1)
        if found:
            return found, end
    return [], start + 1


def _cut_array(text: str, position: int) -> tuple[list[dict[str, Any]], int]:
    found: list[dict[str, Any]] = []
    while True:
        gap = _GAP.match(text, position)
        begin = gap.end() if gap else position
        read = _decoded(text, begin) if text[begin : begin + 1] == "{" else None
        if read is None:
            return found, position
        found.append(read[0])
        position = read[1]


def _decoded(text: str, start: int) -> tuple[Any, int] | None:
    """(value, end) of the JSON at `start`, a trailing comma forgiven."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        end = _balanced_end(text, start)
    try:
        return (json.loads(_without_trailing_commas(text[start:end])), end) if end else None
    except (ValueError, RecursionError):
        return None


def _balanced_end(text: str, start: int) -> int | None:
    """Where the brackets opened from `start` on are closed; none if never, or if they nest deeper than an answer."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found.group(), 0)
        if depth == 0:
            return found.end()
        if depth > DEEPEST:
            return None
    return None


def _without_trailing_commas(text: str) -> str:
    return _STRING_OR_COMMA.sub(lambda found: "" if found.group() == "," else found.group(), text)


def _next_bracket(text: str, position: int) -> int:
    starts = [k for k in (text.find("{", position), text.find("[", position)) if k >= 0]
    return min(starts, default=-1)
