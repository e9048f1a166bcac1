"""What a model is asked about records: which of the candidates comes behind the newest items of a user's history.

Shapes: B records, L items of a history, padded with 0 on the left."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.recommenders.data.user_histories import history_interactions, to_sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.titles.samples import newest_histories


@dataclass(frozen=True)
class Questions:
    """Histories [B, L] and candidates of records; `ground_truth` [B] is the column of the item that was taken."""

    histories: np.ndarray
    candidates: list[np.ndarray]
    ground_truth: np.ndarray

    def numbers(self) -> np.ndarray:
        """Return all items that are read."""
        return np.unique(np.concatenate([self.histories.ravel(), *self.candidates]))


def build_questions(records: pl.DataFrame, interactions: pl.DataFrame, vocabulary: Vocabulary, items: int) -> Questions:
    """Return the questions of records; `interactions` are those of their users, `items` are shown at most."""
    users = records.select("user_id", "target")
    shown = history_interactions(interactions, users, "both").filter(~pl.col("held_out"))
    histories = newest_histories(to_sequences(shown, users, vocabulary), items)
    candidates = [vocabulary.numbers(pl.Series(ids)) for ids in records["candidate_ids"].to_list()]
    return Questions(histories, candidates, true_columns(records))


def true_columns(records: pl.DataFrame) -> np.ndarray:
    """Return the place of the item that was taken among each record's candidates."""
    pairs = zip(records["candidate_ids"].to_list(), records["gt_item_id"].to_list(), strict=True)
    return np.array([candidates.index(item) for candidates, item in pairs], dtype=np.int64)
