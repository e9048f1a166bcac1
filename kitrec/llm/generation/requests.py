"""What a model is asked to write or to score, in token ids, and who answers: an adapter or the base."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import USER_TYPES
from kitrec.llm.generation.params import Method
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import style_of
from kitrec.prompts.template import Item, segments
from kitrec.prompts.tokens import Encoder
from kitrec.prompts.truncation import Fitted, TooLongError, fit_for_test


@dataclass(frozen=True)
class Request:
    """A prompt in token ids and the adapter that answers it (None: the base); the candidates, the notes of earlier
    steps and how many items of either history it shows, and what was cut to make it fit."""

    prompt: list[int]
    adapter: str | None
    candidates: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source_items: int = 0
    target_items: int = 0


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
    style = style_of(prompt, encoder, thinking=method.thinking, answer_items=method.answer_items)

    def encode(text: str) -> list[int]:
        return encoder.prompt(text, thinking=method.thinking)

    def request(record: Mapping[str, Any]) -> Request:
        adapter = USER_TYPES[record["user_type"]].model if method.fine_tuned else None
        try:
            fitted = fit_for_test(record, items, style, prompt.max_length, encode)
        except TooLongError:
            fitted = Fitted(encode(segments(record, items, style).text()), (), record)  # becomes a row that says so
        shown = fitted.record
        return Request(
            fitted.prompt,
            adapter,
            candidates=tuple(shown["candidate_ids"]),
            cuts=fitted.cuts,
            notes=tuple(shown.get("notes") or ()),
            source_items=len(shown["source_items"]),
            target_items=len(shown["target_items"]),
        )

    return [request(record) for record in records.iter_rows(named=True)]


def prompt_hash(prompt: Sequence[int]) -> str:
    """The same for the same ids."""
    return hashlib.sha256(" ".join(map(str, prompt)).encode()).hexdigest()[:16]
