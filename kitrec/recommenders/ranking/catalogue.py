"""Ranks of held-out items among all items of the target domain that the user has not had: no candidates, no sampling.

Ranks among sampled candidates are high and can order methods otherwise than ranks among all items (Krichene and Rendle,
KDD 2020). As among candidates, items outside a model's vocabulary stand behind all others, tied with each other, and a
user without any known item is ranked by popularity in training. Users in chunks, so that memory stays bounded: by the
items of the domain, and by the whole vocabulary where a model scores all its items.
Shapes: U users, n items of a domain."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.catalogue_ranks import CATALOGUE_RANKS

PAIRS = 2**18  # of a user and an item, scored at once

Scores = Callable[[np.ndarray, pl.Series], np.ndarray]  # rows of the records [U], item ids [n] -> [U, n]


class StoredScorer(Protocol):
    """A stored model: over two domains (or of counts) it scores candidates, otherwise all its items at once."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def popularity(self) -> np.ndarray: ...

    @property
    def is_cross_domain(self) -> bool: ...

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray: ...

    def all_scores(self, histories: Sequences) -> np.ndarray: ...


def catalogue_ranks(method: str, records: pl.DataFrame, items: pl.DataFrame, scores: Scores) -> pl.DataFrame:
    """Rank each record's held-out item among the items of its domain without those of its history."""
    counts = np.zeros((3, records.height), dtype=np.int64)
    for target in records["target"].unique().sort().to_list():
        rows = np.flatnonzero((records["target"] == target).to_numpy())
        ids = items.filter(domain=target)["item_id"].unique().sort()
        chunk = max(PAIRS // max(len(ids), 1), 1)
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            counts[:, part] = _counts(records[part], ids, scores(part, ids))
    better, equal, ranked = counts
    columns = {"better": better, "equal": equal, "items": ranked}
    return (
        records.select(pl.lit(method).alias("method"), "user_id", "target", "gt_item_id")
        .with_columns(**{name: pl.Series(values) for name, values in columns.items()})
        .select(*CATALOGUE_RANKS.columns)
    )


def stored_scores(model: StoredScorer, histories: Sequences) -> Scores:
    """Return the scores of a stored model for rows of `histories`, one for each record."""

    def scores(rows: np.ndarray, ids: pl.Series) -> np.ndarray:
        numbers, sequences = model.vocabulary.numbers(ids), histories.take(rows)
        known, values = numbers > 0, np.tile(model.popularity[numbers], (len(rows), 1))
        with_history = np.flatnonzero(sequences.lengths > 0)
        if len(with_history) and known.any():
            scored = _item_scores(model, sequences.take(with_history), numbers[known])
            values[np.ix_(with_history, np.flatnonzero(known))] = scored
        lowest = values[:, known].min(axis=1, initial=np.inf)
        values[:, ~known] = np.where(np.isfinite(lowest), lowest - 1, 0.0)[:, None]
        return values

    return scores


def _item_scores(model: StoredScorer, histories: Sequences, numbers: np.ndarray) -> np.ndarray:
    """Return the scores [U, n] of the same items for every user."""
    if model.is_cross_domain:
        return model.candidate_scores(histories, np.tile(numbers, (len(histories), 1)))
    chunk = max(PAIRS // len(model.vocabulary), 1)
    users = np.arange(len(histories))
    parts = [users[start : start + chunk] for start in range(0, len(users), chunk)]
    return np.vstack([model.all_scores(histories.take(part))[:, numbers - 1] for part in parts])


def _counts(records: pl.DataFrame, ids: pl.Series, values: np.ndarray) -> np.ndarray:
    """Return [3, U]: items above the held-out one, items equal to it, and all items that are ranked."""
    columns = Vocabulary(ids.to_list())  # numbers 1 ... n in the order of the sorted ids
    truths = columns.numbers(records["gt_item_id"]) - 1
    if (truths < 0).any():
        missing = records["gt_item_id"].gather(np.flatnonzero(truths < 0))[0]
        raise InputError(f"data/items.parquet lacks the held-out item {missing} in its domain: run `dvc repro prepare`")
    history = records.select(row=pl.int_range(pl.len()), item="target_items").explode("item").drop_nulls()
    seen = columns.numbers(history["item"])
    ranked = np.ones(values.shape, dtype=bool)
    ranked[history["row"].to_numpy()[seen > 0], seen[seen > 0] - 1] = False
    users = np.arange(len(truths))
    ranked[users, truths] = True  # an item that is had again is still ranked
    truth = values[users, truths][:, None]
    return np.stack([((values > truth) & ranked).sum(1), ((values == truth) & ranked).sum(1), ranked.sum(1)])
