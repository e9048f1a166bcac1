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
    """`tokens[k]` and `is_target[k]` belong to item k; those of 0 are empty and False."""

    vocabulary: Vocabulary
    tokens: list[list[int]]
    is_target: np.ndarray  # [N + 1] whether an item belongs to another domain than the source

    def __len__(self) -> int:
        return len(self.vocabulary)


def build_catalogue(
    items: pl.DataFrame, encoder: Encoder, title_tokens: int, source: str, before: str = ""
) -> Catalogue:
    """Number the items and encode their titles behind `before`, each cut to its first `title_tokens` tokens."""
    by_id = items.sort("item_id")
    titles = by_id.select(pl.coalesce("title", "item_id")).to_series().to_list()
    tokens = [[], *(encoder.plain(before + " ".join(title.split()))[:title_tokens] for title in titles)]
    is_target = np.array([False, *(by_id["domain"] != source)])
    return Catalogue(Vocabulary(by_id["item_id"]), tokens, is_target)
