"""Scores of each record's own candidates, and what a model had to do without.

A reader without any known item (1-core readers of a model that reads the target domain alone) has no sequence: their
candidates are ranked by how often training saw them, and such readers are counted. A candidate that training never saw
stands behind all others, level with its like."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import History, met, sequences_of
from kitrec.recommenders.data.vocabulary import Vocabulary


class Stored(Protocol):
    """A stored model of any kind."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def popularity(self) -> np.ndarray: ...

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Scored:
    scores: list[list[float]]  # of each record's candidates, in their shown order
    without_history: int
    unknown_candidates: int
    candidates: int
    unknown_history: int  # items of the histories that training never saw: left out
    history: int

    def counts(self) -> dict[str, float]:
        """What is told of it."""
        unknown = round(self.unknown_candidates / max(self.candidates, 1), 6)
        left_out = round(self.unknown_history / max(self.history, 1), 6)
        told = {"ranked_by_popularity": self.without_history, "unknown_candidates": unknown}
        return {"n": len(self.scores), **told, "unknown_history": left_out}


def score_records(stored: Stored, records: pl.DataFrame, seen: pl.DataFrame, history: History) -> Scored:
    """Score test records by a stored model; `seen` are the interactions of their readers."""
    who = records.select("user_id", "target")
    shown = met(seen, who, history).filter(~pl.col("held_out"))
    own = sequences_of(shown, who, stored.vocabulary)
    lengths = records["candidate_ids"].list.len().cast(pl.Int64).to_numpy()
    listed = stored.vocabulary.numbers(records["candidate_ids"].explode())
    rows = np.repeat(np.arange(len(lengths)), lengths)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    numbers = np.zeros((len(lengths), lengths.max(initial=1)), dtype=np.int64)
    numbers[rows, columns] = listed
    values = stored.popularity[numbers]
    read = np.flatnonzero(own.lengths > 0)
    values[read] = stored.candidate_scores(own.take(read), np.maximum(numbers[read], 1))
    lowest = np.where(numbers > 0, values, np.inf).min(axis=1, initial=np.inf)
    values = np.where(numbers > 0, values, np.where(np.isfinite(lowest), lowest - 1, 0.0)[:, None])
    scores = [row[:length].tolist() for row, length in zip(values, lengths.tolist(), strict=True)]
    unknown = int((listed == 0).sum())
    return Scored(scores, len(lengths) - len(read), unknown, len(listed), shown.height - len(own.items), shown.height)
