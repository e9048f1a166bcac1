"""One sequence model of the `idrec` section: from the readers' tables to a stored model and what is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.recommenders.data.item_features import build_item_features
from kitrec.recommenders.data.user_histories import (
    History,
    ground_truth_items,
    histories,
    training_sequences,
    user_targets,
)
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import BERT4Rec
from kitrec.recommenders.params import SequenceMethod, TrainingConfig
from kitrec.recommenders.sequence_fitting import fit
from kitrec.recommenders.sequence_storage import Stored, save_model
from kitrec.recommenders.sequence_training import Progress, Validation


@dataclass(frozen=True)
class Given:
    """All that a training may read: nothing of the test."""

    seed: int
    items: pl.DataFrame
    train: pl.DataFrame
    development: pl.DataFrame
    work: Path
    pinned: bool = False  # memory of batches for a GPU

    def learned_from(self, course: TrainingConfig) -> pl.DataFrame:
        """The training readers' interactions; with full_data, where nobody judges, the development readers' too."""
        return pl.concat([self.train, self.development]) if course.mode == "full_data" else self.train


@dataclass(frozen=True)
class Outcome:
    """What is told of a training."""

    rows: list[dict[str, float]]  # one per epoch
    numbers: dict[str, float]


def learn(p: SequenceMethod, given: Given, told: Callable[[Progress], None], to: Path) -> Outcome:
    """Train a method and store its best weights; the development users' held-out items choose the epoch."""
    seen = given.learned_from(p.training)
    vocabulary = Vocabulary(seen["item_id"])
    features = p.model.metadata.features if isinstance(p.model, BERT4Rec) else []
    known, notices = build_item_features(given.items, vocabulary, features, given.seed)
    print(*notices, sep="\n", end="\n" if notices else "")
    learned = training_sequences(seen, user_targets(seen), p.history, vocabulary)
    judged = None if p.training.mode == "full_data" else validation(given.development, p.history, vocabulary)
    fitted = fit(p, known, len(vocabulary), learned, judged, given.seed, given.work, told, pinned=given.pinned)
    chosen = {name: round(value, 6) for name, value in fitted.told().items()}
    popularity = np.bincount(learned.items, minlength=len(vocabulary) + 1).astype(np.float32)
    save_model(Stored(fitted.model, vocabulary, popularity, chosen), p.model, known, to)
    return Outcome(fitted.progress.rows, {**chosen, "items": len(vocabulary), "sequences": len(learned)})


def validation(development: pl.DataFrame, history: History, vocabulary: Vocabulary) -> Validation:
    """Development readers with a known history and a known truth."""
    who = user_targets(development)
    own, wanted = histories(development, who, history, vocabulary), ground_truth_items(development, who, vocabulary)
    judged = np.flatnonzero((own.lengths > 0) & (wanted > 0))
    return Validation(own.take(judged), wanted[judged])
