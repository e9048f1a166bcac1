"""What a model is asked to write or to score, in token ids, and who answers: an adapter or the base."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.domains import USER_TYPES
from kitrec.llm.method_params import Method
from kitrec.prompts.fitting import TooLongError, fit_for_test
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Item, Style, segments
from kitrec.prompts.tokens import Encoder


@dataclass(frozen=True)
class Request:
    """A prompt in token ids and the adapter that answers it (None: the base); the candidates and the notes of earlier
    steps that it shows, and what was cut to make it fit."""

    prompt: list[int]
    adapter: str | None
    candidates: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A text, the continuations to be scored after it, and the adapter that scores them (None: the base)."""

    text: list[int]
    continuations: list[list[int]]
    adapter: str | None


def requests_for(
    records: pl.DataFrame, items: Mapping[str, Item], encoder: Encoder, method: Method, prompt: Prompt
) -> list[Request]:
    """The rendered prompt of every record, addressed to the adapter of its user's type (or to the base).

    A column `notes` of the records, where there is one, stands in the prompt before its task."""
    style = Style(thinking=method.thinking, answer_items=method.answer_items, summaries=prompt.summaries)

    def encode(text: str) -> list[int]:
        return encoder.prompt(text, thinking=method.thinking)

    def request(record: Mapping[str, Any]) -> Request:
        adapter = USER_TYPES[record["user_type"]].model if method.fine_tuned else None
        shown = {"candidates": tuple(record["candidate_ids"]), "notes": tuple(record.get("notes") or ())}
        try:
            fitted = fit_for_test(record, items, style, prompt.max_length, encode)
        except TooLongError:
            return Request(
                encode(segments(record, items, style).text()), adapter, **shown
            )  # becomes a row that says so
        return Request(fitted.prompt, adapter, cuts=fitted.cuts, **shown)

    return [request(record) for record in records.iter_rows(named=True)]


def prompt_hash(prompt: Sequence[int]) -> str:
    """The same for the same ids."""
    return hashlib.sha256(" ".join(map(str, prompt)).encode()).hexdigest()[:16]
