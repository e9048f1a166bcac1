"""Resumable generation: a method's answers in append-only shards, of which a killed run repeats at most one."""

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
    """The engine's message about a prompt it could not answer."""


def generate_answers(
    method: str,
    record_ids: list[str],
    requests: list[Request],
    generate: Generate,
    *,
    max_length: int,
    shard_size: int,
    work: Path,
    on_shard: Callable[[int], None] = lambda _rows: None,
) -> pl.DataFrame:
    """Return the answers table in the order of `record_ids`; shards already in `work` are read, others generated."""
    if not record_ids:
        raise InputError(
            "there is no test record to answer: raise users.test, or look at the counts in metrics/data.json"
        )

    def answer_shard(part: slice) -> pl.DataFrame:
        return _answer(method, record_ids[part], requests[part], generate, max_length)

    return compute_in_shards(len(record_ids), shard_size, work, ANSWERS, answer_shard, on_shard)


def generation_statistics(answers: pl.DataFrame, seconds: float) -> dict[str, float]:
    """Return the time and the tokens that the answers took."""
    return {
        "seconds": round(seconds, 2),
        "records_per_second": round(answers.height / seconds, 2),
        "prompt_tokens": int(answers["prompt_tokens"].sum()),
        "answer_tokens": int(answers["answer_tokens"].sum()),
    }


def _answer(
    method: str, record_ids: list[str], requests: list[Request], generate: Generate, max_length: int
) -> pl.DataFrame:
    """Make one engine call; a prompt that no model could take becomes a row with an error."""
    valid = [k for k, request in enumerate(requests) if 0 < len(request.prompt) <= max_length]
    replies = dict(zip(valid, _replies([requests[k] for k in valid], generate), strict=True))
    if replies and all(isinstance(reply, EngineError) for reply in replies.values()):
        raise InputError(f"the engine failed on all {len(replies)} prompts of a shard: {next(iter(replies.values()))}")
    rows = [_row(method, record_id, requests[k], replies.get(k)) for k, record_id in enumerate(record_ids)]
    return tables.from_rows(rows, ANSWERS)


def _replies(requests: list[Request], generate: Generate) -> list[Reply | EngineError]:
    """Return the replies; where the engine breaks, bisect the requests until the prompt that breaks it is found."""
    if not requests:
        return []
    try:
        return list(generate(requests))
    except RuntimeError as problem:  # a request the engine refuses, or an engine that failed
        if len(requests) == 1:
            return [EngineError(f"{type(problem).__name__}: {problem}")]
    middle = len(requests) // 2
    return [*_replies(requests[:middle], generate), *_replies(requests[middle:], generate)]


def _row(method: str, record_id: str, request: Request, result: Reply | EngineError | None) -> dict[str, object]:
    reply = result if isinstance(result, Reply) else None
    not_sent = "empty_prompt" if not request.prompt else "prompt_too_long"
    return {
        "method": method,
        "record_id": record_id,
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
        "error": None if reply else not_sent if result is None else "engine_error",
    }
