"""What a judge must reply, as JSON schemas, and the strict reading of what it did reply.

A reply that breaks its schema is a failure with a name, never a guess:
    no_reply      the server sent no text (a refusal, a filter)
    cut_off       the reply ended at its limit of tokens
    no_json       not one JSON value, or one whose keys repeat
    wrong_keys    not an object of exactly the keys of the schema
    wrong_values  a rating that is no integer from 1 to 10; a winner that is none"""

import json
from collections.abc import Sequence
from typing import Any

from kitrec.openai_client.replies import Reply
from kitrec.openai_client.request import Schema
from kitrec.schemas.verdicts import RATINGS

FAILURES = ("no_reply", "cut_off", "no_json", "wrong_keys", "wrong_values")
PLACES = ("first", "second", "tie")


def _object_of(title: str, keys: Sequence[str], value: Schema) -> Schema:
    return {
        "title": title,
        "type": "object",
        "properties": dict.fromkeys(keys, value),
        "required": list(keys),
        "additionalProperties": False,
    }


# The ten ratings are listed: servers know `enum` that refuse, or silently forget, `minimum` and `maximum`.
SINGLE = _object_of("ratings", RATINGS, {"type": "integer", "enum": list(range(1, 11))})
PAIR = _object_of("comparison", ("winner",), {"type": "string", "enum": list(PLACES)})


class MalformedError(ValueError):
    """A reply that breaks its schema; the message is one of FAILURES."""


def read(reply: Reply, schema: Schema) -> dict[str, Any]:
    """The object of a reply, every value one that the schema lists."""
    if reply.finish_reason == "length":
        raise MalformedError("cut_off")
    if not reply.content:
        raise MalformedError("no_reply")
    try:
        found = json.loads(reply.content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise MalformedError("no_json") from None
    if not isinstance(found, dict) or set(found) != set(schema["required"]):
        raise MalformedError("wrong_keys")
    if not all(_listed(found[key], allowed["enum"]) for key, allowed in schema["properties"].items()):
        raise MalformedError("wrong_values")
    return found


def _listed(value: Any, allowed: Sequence[Any]) -> bool:
    """Equal and of the same type: 7.0 and true are no ratings."""
    return any(type(value) is type(own) and value == own for own in allowed)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key repeats")
    return dict(pairs)
