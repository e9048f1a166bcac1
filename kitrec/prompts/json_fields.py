"""The fields of a JSON object where they stand in a text, so that one can be found, or moved, and the rest stays."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class Field:
    """A key and its value; where the key begins, and where the value begins and ends, quotes included."""

    key: str
    value: Any
    start: int
    begin: int
    end: int


def fields_at(text: str, start: int) -> list[Field]:
    """Return the fields of the JSON object that begins at `start`; none if it is invalid or empty."""
    try:
        return list(_fields(text, start))
    except ValueError:
        return []


def in_quotes(text: str) -> str:
    """Return a text as it stands between the quotes of a JSON string in the answers that are written here."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _fields(text: str, start: int) -> Iterator[Field]:
    _DECODER.raw_decode(text, start)  # the whole object is valid
    position = _skip(text, start + 1)
    while text[position] != "}":
        key_start = position
        key, position = _DECODER.raw_decode(text, position)
        begin = _skip(text, _skip(text, position) + 1)
        value, end = _DECODER.raw_decode(text, begin)
        yield Field(key, value, key_start, begin, end)
        position = _skip(text, end)
        position = _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    while text[position] in _BLANKS:
        position += 1
    return position
