"""A reply conforms to its schema or is a named failure."""

import json

import jsonschema
import pytest

from kitrec.llm_judge.verdicts import FAILURES, PAIR, SINGLE, MalformedError, parse_verdict
from kitrec.openai_client.replies import Reply
from kitrec.schemas.verdicts import RATINGS

GOOD = dict(zip(RATINGS, (1, 10, 5, 7, 3), strict=True))


def reply(content: str | None, finish_reason: str = "stop") -> Reply:
    return Reply(content, finish_reason, "judge", 1, 1, 0.0)


def test_valid_replies_are_parsed():
    assert parse_verdict(reply(json.dumps(GOOD)), SINGLE) == GOOD
    for winner in ("first", "second", "tie"):
        assert parse_verdict(reply(json.dumps({"winner": winner})), PAIR) == {"winner": winner}


BROKEN = [
    (None, "no_reply"),
    ("", "no_reply"),
    ("I like it", "no_json"),
    (f"```json\n{json.dumps(GOOD)}\n```", "no_json"),
    (json.dumps(GOOD) + json.dumps(GOOD), "no_json"),
    (json.dumps(GOOD)[:-1] + ', "overall": 10}', "no_json"),
    ("[" * 100_000, "no_json"),
    (json.dumps([GOOD]), "wrong_keys"),
    ("7", "wrong_keys"),
    (json.dumps({k: v for k, v in GOOD.items() if k != "overall"}), "wrong_keys"),
    (json.dumps({**GOOD, "note": "x"}), "wrong_keys"),
    *((json.dumps({**GOOD, "overall": bad}), "wrong_values") for bad in (0, 11, -1, 7.5, 7.0, "7", True, None, [7])),
    (json.dumps({**GOOD, "overall": float("nan")}), "wrong_values"),
]


@pytest.mark.parametrize(("content", "failure"), BROKEN)
def test_invalid_replies_are_named_failures(content, failure):
    assert failure in FAILURES
    with pytest.raises(MalformedError, match=f"^{failure}$"):
        parse_verdict(reply(content), SINGLE)


def test_a_truncated_reply_and_an_unknown_winner_are_failures():
    with pytest.raises(MalformedError, match=r"^cut_off$"):
        parse_verdict(reply(json.dumps(GOOD), "length"), SINGLE)
    with pytest.raises(MalformedError, match=r"^wrong_values$"):
        parse_verdict(reply('{"winner": "third"}'), PAIR)


def test_the_schemas_accept_exactly_what_is_parsed():
    """By the library jsonschema; it knows 7.0 as an integer, and no repeated keys."""
    for schema in (SINGLE, PAIR):
        jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(GOOD, SINGLE)
    for content, failure in BROKEN:
        if failure in ("wrong_keys", "wrong_values") and "7.0" not in str(content):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(json.loads(str(content)), SINGLE)
