"""Verdicts on a sample: every rationale is judged `repeats` times, every pair in both orders.

Repeats differ only in their seed. After a malformed reply, which is kept, the request is sent again with another seed,
up to `max_attempts` times; then the failure of the last attempt is the verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import polars as pl

from kitrec.core import tables
from kitrec.core.domains import KITREC, Domains
from kitrec.core.randomness import derived_seed
from kitrec.llm_judge import prompt
from kitrec.llm_judge.params import Judge
from kitrec.llm_judge.sampling import Sample
from kitrec.llm_judge.verdicts import PAIR, SINGLE, MalformedError, parse_verdict
from kitrec.openai_client.replies import Reply
from kitrec.openai_client.request import ChatRequest, Message, Schema, build_request
from kitrec.prompts.shown_items import Item
from kitrec.schemas.verdicts import PAIR_VERDICTS, RATINGS, VERDICTS

Complete = Callable[[Sequence[ChatRequest]], list[Reply]]
Items = Mapping[str, Item]


@dataclass(frozen=True)
class Case:
    """One request to the judge: the columns that identify its verdict, and the messages."""

    subject: dict[str, Any]
    messages: list[Message]


@dataclass(frozen=True)
class Verdicts:
    """A table of verdicts, and all replies behind it by name, malformed ones included."""

    table: pl.DataFrame
    replies: dict[str, Reply]


def judge_rationales(
    sample: Sample, items: Items, p: Judge, *, seed: int, complete: Complete, domains: Domains = KITREC
) -> Verdicts:
    """Return five ratings of every rationale, `repeats` times."""
    cases = [
        Case(
            {"method": method, **_identity(record), "repeat": repeat}, prompt.single(record, items, rationale, domains)
        )
        for method, record, repeat in product(p.methods, sample.records, range(p.repeats))
        for rationale in [sample.rationales[method, record["record_id"]]]
    ]
    rows, replies = _verdicts(cases, SINGLE, p, seed, complete)
    empty = dict.fromkeys(RATINGS)
    return Verdicts(tables.from_rows([{**row, **(verdict or empty)} for row, verdict in rows], VERDICTS), replies)


def judge_pairs(
    sample: Sample, items: Items, p: Judge, *, seed: int, complete: Complete, domains: Domains = KITREC
) -> Verdicts:
    """Return the winner of every declared pair on every record in both orders, `repeats` times."""
    cases = [
        _comparison(sample, items, domains, tuple(pair), record, repeat, swapped=swapped)
        for pair, record, repeat, swapped in product(p.pairs, sample.records, range(p.repeats), (False, True))
    ]
    rows, replies = _verdicts(cases, PAIR, p, seed, complete)
    winners = [
        {**row, "winner": _winner(verdict["winner"], row["swapped"]) if verdict else None} for row, verdict in rows
    ]
    return Verdicts(tables.from_rows(winners, PAIR_VERDICTS), replies)


def _comparison(
    sample: Sample,
    items: Items,
    domains: Domains,
    pair: tuple[str, ...],
    record: dict[str, Any],
    repeat: int,
    *,
    swapped: bool,
) -> Case:
    first, second = (sample.rationales[name, record["record_id"]] for name in (pair[::-1] if swapped else pair))
    subject = {"method": pair[0], "other": pair[1], **_identity(record), "repeat": repeat, "swapped": swapped}
    return Case(subject, prompt.pair(record, items, first, second, domains))


def _winner(position: str, swapped: bool) -> str:
    """Return the side whose rationale was at the winning position."""
    if position == "tie":
        return position
    return "method" if (position == "first") != swapped else "other"


def _identity(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("record_id", "user_id", "user_type")}


def _verdicts(
    cases: list[Case], schema: Schema, p: Judge, seed: int, complete: Complete
) -> tuple[list[tuple[dict[str, Any], dict[str, Any] | None]], dict[str, Reply]]:
    """Return each case's row and its verdict, if well-formed; and all replies by name."""
    rows: dict[int, tuple[dict[str, Any], dict[str, Any] | None]] = {}
    replies: dict[str, Reply] = {}
    pending = list(range(len(cases)))
    for attempt in range(p.max_attempts):
        requests = [_request(cases[k], schema, p, seed, attempt) for k in pending]
        for k, request, reply in zip(pending, requests, complete(requests), strict=True):
            replies[request.name] = reply
            verdict, failure = _verdict_or_failure(reply, schema)
            row = {**cases[k].subject, "failure": failure, "attempts": attempt + 1, "reply": request.name}
            rows[k] = row, verdict
        pending = [k for k in pending if rows[k][1] is None]
    return [rows[k] for k in range(len(cases))], replies


def _request(case: Case, schema: Schema, p: Judge, seed: int, attempt: int) -> ChatRequest:
    return build_request(
        p.endpoint, case.messages, schema, derived_seed(seed, "judge", case.subject["repeat"], attempt)
    )


def _verdict_or_failure(reply: Reply, schema: Schema) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return parse_verdict(reply, schema), None
    except MalformedError as failure:
        return None, str(failure)
