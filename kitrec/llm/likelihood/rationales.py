"""Log likelihoods of rationales in context, by the model that wrote them and by the base alone.

A rationale is scored after the prompt, the thought and the answer up to it, whose text and rationale the tokenizer sees
as one. It is the only continuation of that prefix, so shared_prefix.py reads each text once. The perplexity is computed
from these values by kitrec/evaluation/perplexity.py."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.shards import compute_in_shards
from kitrec.llm.generation.requests import Request
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.parsing.parser import parse
from kitrec.prompts.tokens import Encoder, split_thought
from kitrec.schemas.likelihoods import RATIONALES

Score = Callable[[list[ScoringRequest]], list[np.ndarray]]
_RATIONALE = re.compile(r'"rationale"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


def score_rationales(
    answers: pl.DataFrame,
    requests: Sequence[Request],
    encoder: Encoder,
    score: Score,
    *,
    thinking: bool,
    shard_size: int,
    work: Path,
    on_shard: Callable[[int], None] = lambda _rows: None,
) -> pl.DataFrame:
    """Return the rationales table of answers to the prompts of `requests`; shards already in `work` are read."""

    def score_shard(part: slice) -> pl.DataFrame:
        pairs = zip(requests[part], answers["text"][part], strict=True)
        to_score = [_scoring_request(encoder, request, text, thinking=thinking) for request, text in pairs]
        return _score(answers[part].select("method", "record_id"), to_score, score)

    return compute_in_shards(answers.height, shard_size, work, RATIONALES, score_shard, on_shard)


def rationale_in_context(
    encoder: Encoder, prompt: Sequence[int], text: str, rationale: str, *, thinking: bool
) -> tuple[list[int], list[int]] | None:
    """Return (ids up to the rationale, ids of the rationale), or None if the reply does not spell it out."""
    thought, answer = split_thought(text)
    match = next((m for m in _RATIONALE.finditer(answer) if _spells(m.group(1), rationale)), None)
    if match is None:
        return None
    before, whole = encoder.plain(answer[: match.start(1)]), encoder.plain(answer[: match.end(1) + 1])
    seam = next((k for k, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
    thought_ids = encoder.thought(thought) if thinking else []
    return [*prompt, *thought_ids, *whole[:seam]], whole[seam:]


def _scoring_request(encoder: Encoder, request: Request, text: str | None, *, thinking: bool) -> ScoringRequest | None:
    rationale = parse(text, request.candidates).rationale
    if text is None or rationale is None:
        return None
    ids = rationale_in_context(encoder, request.prompt, text, rationale, thinking=thinking)
    return ScoringRequest(ids[0], [ids[1]], request.adapter) if ids and ids[1] else None


def _score(rows: pl.DataFrame, to_score: Sequence[ScoringRequest | None], score: Score) -> pl.DataFrame:
    present = [k for k, request in enumerate(to_score) if request]
    requests = [request for request in to_score if request]
    writer = score(requests)
    base = score([replace(request, adapter=None) for request in requests])

    def column(values: Sequence[float | int], dtype: type[pl.DataType]) -> pl.Series:
        by_row = dict(zip(present, values, strict=True))
        return pl.Series([by_row.get(k) for k in range(rows.height)], dtype=dtype)

    return rows.with_columns(
        tokens=column([len(request.continuations[0]) for request in requests], pl.Int32),
        loglik_writer=column([float(values[0]) for values in writer], pl.Float64),
        loglik_base=column([float(values[0]) for values in base], pl.Float64),
    )


def _spells(raw: str, rationale: str) -> bool:
    try:
        return json.loads(f'"{raw}"') == rationale
    except ValueError:
        return False
