"""Metadata out of the project's own items table: categories are genres, titles with their genres become TF-IDF vectors.

The world and the catalogues name no directors or writers; asked for, they are off, with a notice."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import of_rows
from kitrec.recommenders.data.title_embeddings import by_tfidf, texts
from kitrec.recommenders.data.vocabulary import Vocabulary


def known_of(
    items: pl.DataFrame, vocabulary: Vocabulary, features: Sequence[str], seed: int
) -> tuple[Known, list[str]]:
    """What the asked features know of the vocabulary's items, and what is off."""
    rows = items.with_columns(pl.Series("number", vocabulary.numbers(items["item_id"]))).filter(pl.col("number") > 0)
    rows = rows.sort("number")
    values, counts, titles = {}, {}, None
    if "genre" in features:
        listed = (
            rows.select("number", value="categories").explode("value").drop_nulls().unique().sort("number", "value")
        )
        names = listed["value"].unique().sort()
        coded = listed.join(pl.DataFrame({"value": names, "code": np.arange(len(names))}), on="value")
        coded = coded.sort("number", "code")
        values["genre"] = of_rows(coded["number"].to_numpy(), coded["code"].to_numpy(), len(vocabulary) + 2)
        counts["genre"] = len(names)
    if "title" in features:
        named = rows.drop_nulls("title").select("number", item="item_id", value="title")
        genres = rows.select(item="item_id", value="categories").explode("value").drop_nulls()
        vectors = by_tfidf(texts(named, genres)["text"].to_list(), seed)
        titles = np.zeros((len(vocabulary) + 2, vectors.shape[1]), dtype=np.float32)
        titles[named["number"].to_numpy()] = vectors
    off = [name for name in features if name in ("director", "writer")]
    return Known(values, counts, titles), [f"{name} is off: the items table does not tell it" for name in off]
