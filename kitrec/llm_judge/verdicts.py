"""JSON schemas of a judge's replies, and strict parsing of the replies.

A reply that violates its schema is a named failure, never a guess:
    no_reply      the server sent no text (a refusal, a filter)
    cut_off       the reply ended at its token limit
    no_json       not a single JSON value, or one with repeated keys
    wrong_keys    not an object of exactly the keys of the schema
    wrong_values  a rating that is no integer from 1 to 10, or an unknown winner"""

import json
from collections.abc import Sequence
from typing import Any

from kitrec.openai_client.replies import Reply
from kitrec.openai_client.request import Schema
from kitrec.schemas.verdicts import RATINGS

FAILURES = ("no_reply", "cut_off", "no_json", "wrong_keys", "wrong_values")
POSITIONS = ("first", "second", "tie")


def _object_of(title: str, keys: Sequence[str], value: Schema) -> Schema:
    return {
        "title": title,
        "type": "object",
        "properties": dict.fromkeys(keys, value),
        "required": list(keys),
        "additionalProperties": False,
    }


# The ten ratings are listed: some servers support `enum` but refuse, or silently ignore, `minimum` and `maximum`.
SINGLE = _object_of("ratings", RATINGS, {"type": "integer", "enum": list(range(1, 11))})
PAIR = _object_of("comparison", ("winner",), {"type": "string", "enum": list(POSITIONS)})


class MalformedError(ValueError):
    """Raised for a reply that violates its schema; the message is one of FAILURES."""


def parse_verdict(reply: Reply, schema: Schema) -> dict[str, Any]:
    """Return the object of a reply; all its values are listed in the schema."""
    if reply.finish_reason == "length":
        raise MalformedError("cut_off")
    if not reply.content:
        raise MalformedError("no_reply")
    try:
        verdict = json.loads(reply.content, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise MalformedError("no_json") from None
    if not isinstance(verdict, dict) or set(verdict) != set(schema["required"]):
        raise MalformedError("wrong_keys")
    if not all(_listed(verdict[key], allowed["enum"]) for key, allowed in schema["properties"].items()):
        raise MalformedError("wrong_values")
    return verdict


def _listed(value: Any, allowed: Sequence[Any]) -> bool:
    """Return whether a value is listed with its type: 7.0 and true are no ratings."""
    return any(type(value) is type(option) and value == option for option in allowed)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key repeats")
    return dict(pairs)
