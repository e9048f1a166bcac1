"""All items by number, with the tokens of their titles: what the models of this room know of an item.

Items are numbered 1 ... N in the order of their ids, 0 is padding. An item without a title is read by its id.
Text of a title never becomes a control token (kitrec/prompts/tokens.py)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Catalogue:
    """`tokens[k]` and `domains[k]` belong to item k; those of 0 are empty and 0."""

    vocabulary: Vocabulary
    tokens: list[list[int]]
    domains: np.ndarray  # [N + 1] 0: the source; every target domain has a number of its own

    @property
    def is_target(self) -> np.ndarray:
        """Whether each item belongs to a target domain, [N + 1]."""
        return self.domains > 0

    def __len__(self) -> int:
        return len(self.vocabulary)


def build_catalogue(
    items: pl.DataFrame, encoder: Encoder, title_tokens: int, source: str, before: str = ""
) -> Catalogue:
    """Number the items and encode their titles behind `before`, each cut to its first `title_tokens` tokens."""
    vocabulary, titles, domains = number_items(items, source)
    tokens = [[], *(encoder.plain(before + title)[:title_tokens] for title in titles)]
    return Catalogue(vocabulary, tokens, domains)


def number_items(items: pl.DataFrame, source: str) -> tuple[Vocabulary, list[str], np.ndarray]:
    """Return the items by number, the titles of items 1 ... N, and the number of each item's domain [N + 1]."""
    by_id = items.sort("item_id")
    titles = by_id.select(pl.coalesce("title", "item_id")).to_series().to_list()
    targets = sorted(set(by_id["domain"]) - {source})
    domains = [0, *(0 if domain == source else 1 + targets.index(domain) for domain in by_id["domain"])]
    return Vocabulary(by_id["item_id"]), [" ".join(title.split()) for title in titles], np.array(domains)
