"""From a sample to verdicts: every rationale is judged `repeats` times, every pair in both orders.

Repeats differ in their seed alone. A malformed reply is kept, and the same is asked again with another seed, up to
`attempts` times; the failure of the last attempt is the verdict then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import polars as pl

from kitrec.core import tables
from kitrec.core.randomness import derived_seed
from kitrec.llm_judge import prompt
from kitrec.llm_judge.params import Judge
from kitrec.llm_judge.sampling import Sample
from kitrec.llm_judge.verdicts import PAIR, SINGLE, MalformedError, read
from kitrec.openai_client.replies import Reply
from kitrec.openai_client.request import ChatRequest, Message, Schema, request
from kitrec.prompts.template import Item
from kitrec.schemas.verdicts import PAIR_VERDICTS, RATINGS, VERDICTS

Answer = Callable[[Sequence[ChatRequest]], list[Reply]]
Items = Mapping[str, Item]


@dataclass(frozen=True)
class Case:
    """Something to be judged once: who it is about, and what the judge is shown."""

    subject: dict[str, Any]
    messages: list[Message]


@dataclass(frozen=True)
class Judged:
    """A table of verdicts, and all replies behind it, the malformed ones among them, by name."""

    table: pl.DataFrame
    replies: dict[str, Reply]


def judge(sample: Sample, items: Items, p: Judge, *, seed: int, answer: Answer) -> Judged:
    """The verdicts table: five ratings of every rationale, `repeats` times."""
    cases = [
        Case({"method": method, **_who(record), "repeat": repeat}, prompt.single(record, items, own))
        for method, record, repeat in product(p.methods, sample.records, range(p.repeats))
        for own in [sample.rationales[method, record["record_id"]]]
    ]
    rows, replies = _verdicts(cases, SINGLE, p, seed, answer)
    empty = dict.fromkeys(RATINGS)
    return Judged(tables.from_rows([{**row, **(found or empty)} for row, found in rows], VERDICTS), replies)


def judge_pairs(sample: Sample, items: Items, p: Judge, *, seed: int, answer: Answer) -> Judged:
    """The table of comparisons: every declared pair on every record in both orders, `repeats` times."""
    cases = [
        _comparison(sample, items, tuple(pair), record, repeat, swapped=swapped)
        for pair, record, repeat, swapped in product(p.pairs, sample.records, range(p.repeats), (False, True))
    ]
    rows, replies = _verdicts(cases, PAIR, p, seed, answer)
    named = [{**row, "winner": _winner(found["winner"], row["swapped"]) if found else None} for row, found in rows]
    return Judged(tables.from_rows(named, PAIR_VERDICTS), replies)


def _comparison(
    sample: Sample, items: Items, pair: tuple[str, ...], record: dict[str, Any], repeat: int, *, swapped: bool
) -> Case:
    first, second = (sample.rationales[name, record["record_id"]] for name in (pair[::-1] if swapped else pair))
    subject = {"method": pair[0], "other": pair[1], **_who(record), "repeat": repeat, "swapped": swapped}
    return Case(subject, prompt.pair(record, items, first, second))


def _winner(place: str, swapped: bool) -> str:
    """Whose rationale stood at the place that won."""
    if place == "tie":
        return place
    return "method" if (place == "first") != swapped else "other"


def _who(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("record_id", "user_id", "user_type")}


def _verdicts(
    cases: list[Case], schema: Schema, p: Judge, seed: int, answer: Answer
) -> tuple[list[tuple[dict[str, Any], dict[str, Any] | None]], dict[str, Reply]]:
    """Of every case its row and what the judge said, if anything well-formed; and all replies by name."""
    rows: dict[int, tuple[dict[str, Any], dict[str, Any] | None]] = {}
    replies: dict[str, Reply] = {}
    pending = list(range(len(cases)))
    for attempt in range(p.attempts):
        asked = [_request(cases[k], schema, p, seed, attempt) for k in pending]
        for k, own, reply in zip(pending, asked, answer(asked), strict=True):
            replies[own.name] = reply
            found, failure = _found(reply, schema)
            row = {**cases[k].subject, "failure": failure, "attempts": attempt + 1, "reply": own.name}
            rows[k] = row, found
        pending = [k for k in pending if rows[k][1] is None]
    return [rows[k] for k in range(len(cases))], replies


def _request(case: Case, schema: Schema, p: Judge, seed: int, attempt: int) -> ChatRequest:
    return request(p.endpoint, case.messages, schema, derived_seed(seed, "judge", case.subject["repeat"], attempt))


def _found(reply: Reply, schema: Schema) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return read(reply, schema), None
    except MalformedError as failure:
        return None, str(failure)
