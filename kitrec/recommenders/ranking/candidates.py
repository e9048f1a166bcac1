"""Scores of each record's candidates, and counts of users and items that the model cannot represent.

A user without any known item (1-core users of a model that reads the target domain alone) has no sequence: such users'
candidates are ranked by training popularity, and the users are counted. Candidates outside the training vocabulary rank
behind all others, tied with each other."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import History, history_interactions, to_sequences
from kitrec.recommenders.data.vocabulary import Vocabulary


class CandidateScorer(Protocol):
    """A stored model of any kind."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def popularity(self) -> np.ndarray: ...

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class CandidateScores:
    scores: list[list[float]]  # of each record's candidates, in their shown order
    without_history: int
    unknown_candidates: int
    candidates: int
    unknown_history: int  # items of the histories outside the vocabulary: left out
    history: int

    def metrics(self) -> dict[str, float]:
        """Return the counts and shares for a metrics file."""
        return {
            "n": len(self.scores),
            "ranked_by_popularity": self.without_history,
            "unknown_candidates": round(self.unknown_candidates / max(self.candidates, 1), 6),
            "unknown_history": round(self.unknown_history / max(self.history, 1), 6),
        }


def score_records(
    scorer: CandidateScorer, records: pl.DataFrame, interactions: pl.DataFrame, history: History
) -> CandidateScores:
    """Score the candidates of test records with a stored model; `interactions` are those of their users."""
    users = records.select("user_id", "target")
    shown = history_interactions(interactions, users, history).filter(~pl.col("held_out"))
    sequences = to_sequences(shown, users, scorer.vocabulary)
    lengths = records["candidate_ids"].list.len().cast(pl.Int64).to_numpy()
    candidates = scorer.vocabulary.numbers(records["candidate_ids"].explode())
    rows = np.repeat(np.arange(len(lengths)), lengths)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    numbers = np.zeros((len(lengths), lengths.max(initial=1)), dtype=np.int64)
    numbers[rows, columns] = candidates
    values = scorer.popularity[numbers]
    with_history = np.flatnonzero(sequences.lengths > 0)
    values[with_history] = scorer.candidate_scores(sequences.take(with_history), np.maximum(numbers[with_history], 1))
    lowest = np.where(numbers > 0, values, np.inf).min(axis=1, initial=np.inf)
    values = np.where(numbers > 0, values, np.where(np.isfinite(lowest), lowest - 1, 0.0)[:, None])
    return CandidateScores(
        [row[:length].tolist() for row, length in zip(values, lengths.tolist(), strict=True)],
        without_history=len(lengths) - len(with_history),
        unknown_candidates=int((candidates == 0).sum()),
        candidates=len(candidates),
        unknown_history=shown.height - len(sequences.items),
        history=shown.height,
    )
