"""Answers of a method to test records, in append-only shards: a killed run repeats at most one engine call."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.core.shards import compute_in_shards
from kitrec.llm.generation.requests import Request, prompt_hash
from kitrec.llm.generation.vllm_engine import Reply
from kitrec.schemas.answers import ANSWERS

Generate = Callable[[list[Request]], list[Reply]]


class EngineError(str):
    """What the engine said of a prompt it could not answer."""


def answer_all(
    name: str, records: list[str], requests: list[Request], generate: Generate, *, longest: int, shard: int, work: Path
) -> pl.DataFrame:
    """The answers table in the order of `records`. Shards already in `work` are read, the others generated."""
    if not records:
        raise InputError(
            "there is no test record to answer: raise users.test, or look at the counts in metrics/data.json"
        )

    def answered(part: slice) -> pl.DataFrame:
        return _answer(name, records[part], requests[part], generate, longest)

    return compute_in_shards(len(records), shard, work, ANSWERS, answered)


def spent(answers: pl.DataFrame, seconds: float) -> dict[str, float]:
    """What answering cost."""
    return {
        "seconds": round(seconds, 2),
        "records_per_second": round(answers.height / seconds, 2),
        "prompt_tokens": int(answers["prompt_tokens"].sum()),
        "answer_tokens": int(answers["answer_tokens"].sum()),
    }


def _answer(name: str, records: list[str], requests: list[Request], generate: Generate, longest: int) -> pl.DataFrame:
    """One engine call; a prompt that no model could take becomes a row that says so."""
    fitting = [k for k, request in enumerate(requests) if 0 < len(request.prompt) <= longest]
    replies = dict(zip(fitting, _replies([requests[k] for k in fitting], generate), strict=True))
    if replies and all(isinstance(reply, EngineError) for reply in replies.values()):
        raise InputError(f"the engine failed on all {len(replies)} prompts of a shard: {next(iter(replies.values()))}")
    rows = [_row(name, record, requests[k], replies.get(k)) for k, record in enumerate(records)]
    return tables.from_rows(rows, ANSWERS)


def _replies(requests: list[Request], generate: Generate) -> list[Reply | EngineError]:
    """Replies; where the engine breaks, halves are asked on their own until it is one prompt that breaks it."""
    if not requests:
        return []
    try:
        return list(generate(requests))
    except RuntimeError as problem:  # a request the engine refuses, or an engine that failed
        if len(requests) == 1:
            return [EngineError(f"{type(problem).__name__}: {problem}")]
    middle = len(requests) // 2
    return [*_replies(requests[:middle], generate), *_replies(requests[middle:], generate)]


def _row(name: str, record: str, request: Request, replied: Reply | EngineError | None) -> dict[str, object]:
    reply = replied if isinstance(replied, Reply) else None
    unasked = "empty_prompt" if not request.prompt else "prompt_too_long"
    return {
        "method": name,
        "record_id": record,
        "notes": list(request.notes),
        "prompt_hash": prompt_hash(request.prompt),
        "adapter": request.adapter,
        "text": reply.text if reply else None,
        "prompt_tokens": len(request.prompt),
        "source_items": request.source_items,
        "target_items": request.target_items,
        "shortened": list(request.cuts),
        "answer_tokens": reply.tokens if reply else 0,
        "finish_reason": reply.finish_reason if reply else None,
        "error": None if reply else unasked if replied is None else "engine_error",
    }
