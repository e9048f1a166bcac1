"""Histories as plain text: a line `<label of the domain>: <title>` for each item, oldest first.

Label, title and end of line are encoded apart, so a line has the same tokens whether it is shown, learned or scored,
and no title becomes a control token (kitrec/prompts/tokens.py). The text begins as the tokenizer begins every text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kitrec.core.domains import Domains
from kitrec.prompts.tokens import Encoder
from kitrec.titles.catalogue import Catalogue, build_catalogue


@dataclass(frozen=True)
class LearnedText:
    """Token ids of a history, and which of them are learned."""

    ids: np.ndarray
    learned: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Lines:
    """`labels[k]` begins the line of item k; that of 0 is empty."""

    catalogue: Catalogue
    start: list[int]
    labels: list[list[int]]
    end: list[int]

    def title(self, number: int) -> list[int]:
        """Return what stands behind the label in an item's line, its end included."""
        return [*self.catalogue.tokens[number], *self.end]

    def question(self, history: Sequence[int], number: int) -> list[int]:
        """Return the text of a history (0: padding), and the label of the line where an item's title would follow."""
        shown = [token for k in history if k for token in (*self.labels[k], *self.title(k))]
        return [*self.start, *shown, *self.labels[number]]

    def learned(self, history: Sequence[int], item: int) -> LearnedText:
        """Return the text of a history and the item behind it; titles of target items are learned."""
        ids, learned = list(self.start), [False] * len(self.start)
        for k in (*(k for k in history if k), item):
            title = self.title(k)
            ids += [*self.labels[k], *title]
            learned += [False] * len(self.labels[k]) + [bool(self.catalogue.is_target[k])] * len(title)
        return LearnedText(np.array(ids, dtype=np.int64), np.array(learned))


def build_lines(items: pl.DataFrame, tokenizer: Any, title_tokens: int, domains: Domains) -> Lines:
    """Encode the lines of all items; titles begin with the space behind the label, as words in a text do."""
    encoder = Encoder(tokenizer)
    catalogue = build_catalogue(items, encoder, title_tokens, domains.source, before=" ")
    by_domain = {name: encoder.plain(f"{label}:") for name, label in domains.shown_labels.items()}
    labels = [[], *(by_domain[domain] for domain in items.sort("item_id")["domain"])]
    start = [token for token in tokenizer("")["input_ids"] if token == tokenizer.bos_token_id]
    return Lines(catalogue, start[:1], labels, encoder.plain("\n"))
