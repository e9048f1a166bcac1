"""Prompts in token ids, each addressed to an adapter or to the base."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC, Domains, model_of
from kitrec.llm.generation.params import Method
from kitrec.prompts.params import Prompt
from kitrec.prompts.shown_items import Item
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.template import segments
from kitrec.prompts.title_first import shown_titles
from kitrec.prompts.tokens import Encoder
from kitrec.prompts.truncation import TooLongError, TruncatedPrompt, truncate_for_test


@dataclass(frozen=True)
class Request:
    """A prompt in token ids and the adapter that answers it (None: the base); the candidates, the notes of earlier
    steps and the number of items of either history that it shows, and what was cut to make it fit; the candidates'
    titles, where answers begin with these."""

    prompt: list[int]
    adapter: str | None
    candidates: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source_items: int = 0
    target_items: int = 0
    titles: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What an answer can begin with: a title or an id of each candidate."""
        return self.titles or self.candidates


def requests_for(
    records: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    method: Method,
    prompt: Prompt,
    *,
    domains: Domains = KITREC,
) -> list[Request]:
    """Return the rendered prompt of every record, addressed to the adapter of its user's type (or to the base).

    A column `notes` of the records, where there is one, is rendered before the prompt's task."""
    style = prompt_style(prompt, encoder, thinking=method.thinking, answer_items=method.answer_items, domains=domains)

    def encode(text: str) -> list[int]:
        return encoder.prompt(text, thinking=method.thinking)

    def request(record: Mapping[str, Any]) -> Request:
        adapter = model_of(record["user_category"], record["target"]) if method.fine_tuned else None
        try:
            truncated = truncate_for_test(record, items, style, prompt.max_length, encode)
        except TooLongError:
            whole = encode(segments(record, items, style).text())
            truncated = TruncatedPrompt(whole, (), record)  # becomes a row with an error
        shown = truncated.record
        return Request(
            truncated.prompt,
            adapter,
            candidates=tuple(shown["candidate_ids"]),
            cuts=truncated.cuts,
            notes=tuple(shown.get("notes") or ()),
            source_items=len(shown["source_items"]),
            target_items=len(shown["target_items"]),
            titles=shown_titles(shown, items) if style.title_first else (),
        )

    return [request(record) for record in records.iter_rows(named=True)]


def prompt_hash(prompt: Sequence[int]) -> str:
    """Return a hash of a prompt's ids."""
    return hashlib.sha256(" ".join(map(str, prompt)).encode()).hexdigest()[:16]
