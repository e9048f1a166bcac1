"""Likelihoods behind rationale perplexity: exp(-loglik / tokens), summed over rationales before the division.

The rationale is scored in context: after the prompt, the thought and the answer up to it, by the writing model and by
the base alone. It is the only continuation of that text, so tree_scoring.py reads each text once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.shards import compute_in_shards
from kitrec.llm.generation.requests import Question, Request
from kitrec.parsing.parser import parse
from kitrec.prompts.rationale_spans import rationale_in_context
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.rationales import RATIONALES

Score = Callable[[list[Question]], list[np.ndarray]]


def score_rationales(
    answers: pl.DataFrame,
    requests: Sequence[Request],
    encoder: Encoder,
    score: Score,
    *,
    thinking: bool,
    shard: int,
    work: Path,
) -> pl.DataFrame:
    """The rationales table of answers, whose prompts are `requests`. Shards already in `work` are read."""

    def scored(part: slice) -> pl.DataFrame:
        pairs = zip(requests[part], answers["text"][part], strict=True)
        asked = [_question(encoder, request, text, thinking=thinking) for request, text in pairs]
        return _scored(answers[part].select("method", "record_id"), asked, score)

    return compute_in_shards(answers.height, shard, work, RATIONALES, scored)


def _question(encoder: Encoder, request: Request, text: str | None, *, thinking: bool) -> Question | None:
    rationale = parse(text, request.candidates).rationale
    if text is None or rationale is None:
        return None
    found = rationale_in_context(encoder, request.prompt, text, rationale, thinking=thinking)
    return Question(found[0], [found[1]], request.adapter) if found and found[1] else None


def _scored(rows: pl.DataFrame, asked: Sequence[Question | None], score: Score) -> pl.DataFrame:
    there = [k for k, question in enumerate(asked) if question]
    questions = [question for question in asked if question]
    writer = score(questions)
    base = score([replace(question, adapter=None) for question in questions])

    def column(values: Sequence[float | int], dtype: type[pl.DataType]) -> pl.Series:
        filled = dict(zip(there, values, strict=True))
        return pl.Series([filled.get(k) for k in range(rows.height)], dtype=dtype)

    return rows.with_columns(
        tokens=column([len(q.continuations[0]) for q in questions], pl.Int32),
        loglik_writer=column([float(v[0]) for v in writer], pl.Float64),
        loglik_base=column([float(v[0]) for v in base], pl.Float64),
    )
