"""Train any recommender of the `idrec` section: from the users' tables to a stored model and its metrics.

Sequence models, models over two domains and counted models share the training users, the vocabulary, and the
development users whose held-out items choose the epoch."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from torch import nn

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.cross_domain_training import train_cross_domain_model
from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.item_domains import of_seen
from kitrec.recommenders.data.item_features import known_of
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import History, histories, met, readers, truths, with_truths
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.params import BERT4Rec, Counted, Course, CrossDomain, Method, Ranker
from kitrec.recommenders.ranking.within_domain import against, judged
from kitrec.recommenders.search import drawn_setting, searched_values
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel, save_model
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import Row

GATE = "val_gate/"


@dataclass(frozen=True)
class TrainingData:
    """The tables a training reads; nothing of the test."""

    seed: int
    items: pl.DataFrame
    train: pl.DataFrame
    development: pl.DataFrame
    work: Path
    pinned: bool = False  # batches go to a GPU through pinned memory

    def interactions(self, course: Course) -> pl.DataFrame:
        """Interactions of the training users; full_data has no validation and adds the development users'."""
        return pl.concat([self.train, self.development]) if course.mode == "full_data" else self.train


@dataclass(frozen=True)
class TrainedRecommender:
    """The record of a training; the model itself is stored."""

    rows: list[Row]  # one per epoch
    metrics: dict[str, float]


def train_best(
    name: str, p: Ranker, trials: int, data: TrainingData, on_epoch_end: OnEpochEnd, to: Path
) -> tuple[TrainedRecommender, list[dict[str, Any]]]:
    """Train `trials` settings of a method and store the best one; also return what was tried, with its metric."""
    if trials == 1:
        trained = train_recommender(p, data, on_epoch_end, to)
        return trained, [{**searched_values(p), SELECTION_METRIC: trained.metrics.get(SELECTION_METRIC)}]
    settings = [p, *(drawn_setting(p, name, data.seed, trial) for trial in range(1, trials))]
    trained_by_trial = {}
    for trial, setting in enumerate(settings):
        work = data.work / str(trial)
        try:
            trained_by_trial[trial] = train_recommender(
                setting, replace(data, work=work / "training"), on_epoch_end, work / "model"
            )
        except InputError:  # a drawn setting that diverges loses; the method's own is for the user to fix
            if not trial:
                raise
    scores = {trial: trained.metrics[SELECTION_METRIC] for trial, trained in trained_by_trial.items()}
    best = max(scores, key=lambda trial: scores[trial])
    with files.whole(to) as draft:
        shutil.copytree(data.work / str(best) / "model", draft)
    tried = [{**searched_values(p), SELECTION_METRIC: scores.get(trial)} for trial, p in enumerate(settings)]
    return trained_by_trial[best], tried


def train_recommender(p: Ranker, data: TrainingData, on_epoch_end: OnEpochEnd, to: Path) -> TrainedRecommender:
    """Train (or count) a method and store its best weights."""
    interactions = data.train if isinstance(p, Counted) else data.interactions(p.course)
    vocabulary = Vocabulary(interactions["item_id"])
    sequences = with_truths(interactions, readers(interactions), p.history, vocabulary)
    known = None
    if isinstance(p, Method):
        features = p.model.metadata.features if isinstance(p.model, BERT4Rec) else []
        known, notices = known_of(data.items, vocabulary, features, data.seed)
        print(*notices, sep="\n", end="\n" if notices else "")
        trained = _train_sequence_model(p, data, known, vocabulary, sequences, on_epoch_end)
    else:
        trained = _train_cross_domain_model(p, data, interactions, vocabulary, sequences, on_epoch_end)
    metrics = {name: round(value, 6) for name, value in trained.metrics.items()}
    popularity = np.bincount(sequences.items, minlength=len(vocabulary) + 1).astype(np.float32)
    save_model(StoredModel(trained.model, vocabulary, popularity, metrics), p.model, to, known)
    return TrainedRecommender(trained.rows, {**metrics, "items": len(vocabulary), "sequences": len(sequences)})


def development_validation(development: pl.DataFrame, history: History, vocabulary: Vocabulary) -> Validation:
    """The development users with a known history and a known held-out item."""
    users = readers(development)
    sequences, held_out = histories(development, users, history, vocabulary), truths(development, users, vocabulary)
    usable = np.flatnonzero((sequences.lengths > 0) & (held_out > 0))
    return Validation(sequences.take(usable), held_out[usable])


def positive_items(interactions: pl.DataFrame, p: CrossDomain) -> np.ndarray:
    """Which items, in the order of `with_truths`, are rated high enough to be positives; unrated ones are."""
    rated = met(interactions, readers(interactions), p.history)["rating"]
    return (rated.fill_null(p.liked) >= p.liked).to_numpy()


def validation_curves(rows: list[Row]) -> pl.DataFrame:
    """Rows (epoch, series, value) of a plot: NDCG and the mean weights of metadata gates, for each validated epoch."""
    points = [
        {"epoch": int(row["epoch"]), "series": name.replace(GATE, "gate: "), "value": value}
        for row in rows
        for name, value in row.items()
        if name == SELECTION_METRIC or name.startswith(GATE)
    ]
    table = pl.DataFrame(points, schema={"epoch": pl.Int64, "series": pl.String, "value": pl.Float64})
    return table.with_columns(pl.col("value").round(6)).sort("series", "epoch")


@dataclass(frozen=True)
class _Trained:
    model: nn.Module
    rows: list[Row]
    metrics: Row


def _train_sequence_model(
    p: Method, data: TrainingData, known: Known, vocabulary: Vocabulary, sequences: Sequences, on_epoch_end: OnEpochEnd
) -> _Trained:
    validation = None
    if p.course.mode == "standard":
        validation = development_validation(data.development, p.history, vocabulary)
    items, seed, work = len(vocabulary), data.seed, data.work
    result = train_sequence_model(p, known, items, sequences, validation, seed, work, on_epoch_end, pinned=data.pinned)
    return _Trained(result.model, result.progress.rows, result.metrics())


def _train_cross_domain_model(
    p: CrossDomain | Counted,
    data: TrainingData,
    interactions: pl.DataFrame,
    vocabulary: Vocabulary,
    sequences: Sequences,
    on_epoch_end: OnEpochEnd,
) -> _Trained:
    catalogue = of_seen(interactions, vocabulary)
    development = development_validation(data.development, p.history, vocabulary)
    validated = isinstance(p, Counted) or p.course.mode == "standard"
    if not len(sequences) or (validated and not len(development.targets)):
        raise InputError(
            f"{len(sequences)} users to train on, {len(development.targets)} development users with a known history "
            "and held-out item: both need some; raise users.train or users.development_share"
        )
    validation = against(Readers(development.histories), development.targets, catalogue, data.seed)
    if isinstance(p, Counted):
        model = count_model(p.model, sequences, catalogue.items, data.seed)
        row = {"epoch": 1.0, **judged(model, validation)}
        return _Trained(model, [row], row)
    positives = positive_items(interactions, p)
    if not positives.any():
        raise InputError(f"no item has {p.liked} stars or more: nothing is a positive; lower `liked` of this method")
    titles = None
    if isinstance(p.model, params.DTCDR) and p.model.titles:
        known, _ = known_of(data.items, vocabulary, ["title"], data.seed)
        assert known.titles is not None
        titles = known.titles[: catalogue.items + 1]
    users, chosen_by = Readers(sequences, liked=positives), validation if validated else None
    result = train_cross_domain_model(
        p.model, p.course, catalogue, users, chosen_by, data.seed, data.work, on_epoch_end, titles=titles
    )
    return _Trained(result.model, result.progress.rows, result.metrics())
