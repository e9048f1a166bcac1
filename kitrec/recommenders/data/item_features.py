"""Item metadata as model inputs, built from the project's items table: categories are genres, titles with their genres
become TF-IDF vectors.

The items table has no directors or writers; where they are requested, they are switched off with a notice."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.title_embeddings import item_texts, tfidf_embeddings
from kitrec.recommenders.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class ItemFeatures:
    """Metadata of items 0 ... N+1 (padding and mask have none): lists of value codes from 0, and title vectors."""

    values: dict[str, Sequences] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    titles: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        return [*self.values, *([] if self.titles is None else ["title"])]


def build_item_features(
    items: pl.DataFrame, vocabulary: Vocabulary, requested: Sequence[str], seed: int
) -> tuple[ItemFeatures, list[str]]:
    """Return the requested features of the vocabulary's items, and a notice for each one that is switched off."""
    rows = items.with_columns(pl.Series("number", vocabulary.numbers(items["item_id"]))).filter(pl.col("number") > 0)
    rows = rows.sort("number")
    values, counts, titles = {}, {}, None
    if "genre" in requested:
        genres = (
            rows.select("number", value="categories").explode("value").drop_nulls().unique().sort("number", "value")
        )
        names = genres["value"].unique().sort()
        coded = genres.join(pl.DataFrame({"value": names, "code": np.arange(len(names))}), on="value")
        coded = coded.sort("number", "code")
        values["genre"] = sequences_from_rows(coded["number"].to_numpy(), coded["code"].to_numpy(), len(vocabulary) + 2)
        counts["genre"] = len(names)
    if "title" in requested:
        titles = _title_vectors(rows, len(vocabulary), seed)
    off = [name for name in requested if name in ("director", "writer")]
    return ItemFeatures(values, counts, titles), [f"{name} is off: the items table has no such column" for name in off]


def _title_vectors(rows: pl.DataFrame, items: int, seed: int) -> np.ndarray:
    """[N + 2, d], zero for items without a title."""
    titled = rows.drop_nulls("title").select("number", item="item_id", value="title")
    genres = rows.select(item="item_id", value="categories").explode("value").drop_nulls()
    embeddings = tfidf_embeddings(item_texts(titled, genres)["text"].to_list(), seed)
    vectors = np.zeros((items + 2, embeddings.shape[1]), dtype=np.float32)
    vectors[titled["number"].to_numpy()] = embeddings
    return vectors
