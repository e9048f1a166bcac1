"""Train any recommender of the `idrec` section: from the users' tables to a stored model and its metrics.

Sequence models, models over two domains and non-parametric models share the training users, the vocabulary, and the
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
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, item_domains_of
from kitrec.recommenders.data.item_features import ItemFeatures, build_item_features
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import (
    History,
    ground_truth_items,
    histories,
    history_interactions,
    target_domains,
    training_sequences,
    user_targets,
)
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.params import (
    CrossDomainMethod,
    NonParametricMethod,
    RankingMethod,
    SequenceMethod,
    TrainingConfig,
    selection_metric,
)
from kitrec.recommenders.ranking import within_domain
from kitrec.recommenders.ranking.within_domain import domain_candidates
from kitrec.recommenders.search import drawn_setting, searched_values
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel, save_model
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import Row
from kitrec.training.validation_users import Most, sample_rows

GATE = "val_gate/"


@dataclass(frozen=True)
class TrainingData:
    """Tables that a training reads; none of them holds test users."""

    seed: int
    items: pl.DataFrame
    train: pl.DataFrame
    development: pl.DataFrame
    work: Path
    pin_memory: bool = False  # batches go to a GPU through pinned memory
    validation_users: Most = "all"  # that choose the epoch

    def sizes(self) -> dict[str, int]:
        """Return how much data it is: users and interactions to train on, their items, development users."""
        counts = {"interactions": self.train.height, "items": self.train["item_id"].n_unique()}
        people = {"users": self.train, "development_users": self.development}
        return counts | {name: table["user_id"].n_unique() for name, table in people.items()}

    def validation(self, history: History, vocabulary: Vocabulary, item_domains: ItemDomains) -> Validation:
        """Return the questions of the development users that choose the epoch."""
        users = sample_rows(self.development, self.validation_users, self.seed)
        return development_validation(users, history, vocabulary, item_domains, self.seed)

    def interactions(self, config: TrainingConfig) -> pl.DataFrame:
        """Return the training users' interactions; full_data has no validation and adds the development users'."""
        return pl.concat([self.train, self.development]) if config.mode == "full_data" else self.train


@dataclass(frozen=True)
class TrainedRecommender:
    """The record of a training; the model itself is stored."""

    rows: list[Row]  # one per epoch
    metrics: dict[str, float]


def train_best(
    name: str, p: RankingMethod, trials: int, data: TrainingData, on_epoch_end: OnEpochEnd, to: Path
) -> tuple[TrainedRecommender, list[dict[str, Any]]]:
    """Train `trials` settings of a method and store the best one; also return what was tried, with its metric."""
    metric = selection_metric(p)
    if trials == 1:
        trained = train_recommender(p, data, on_epoch_end, to)
        return trained, [{**searched_values(p), metric: trained.metrics.get(metric)}]
    settings = [p, *(drawn_setting(p, name, data.seed, trial) for trial in range(1, trials))]
    trained_by_trial = {}
    for trial, setting in enumerate(settings):
        work = data.work / str(trial)
        try:
            trained_by_trial[trial] = train_recommender(
                setting, replace(data, work=work / "training"), on_epoch_end, work / "model"
            )
        except InputError:  # a drawn setting that diverges loses; the user fixes the method's own
            if not trial:
                raise
    scores = {trial: trained.metrics[metric] for trial, trained in trained_by_trial.items()}
    best = max(scores, key=lambda trial: scores[trial])
    with files.atomic(to) as draft:
        shutil.copytree(data.work / str(best) / "model", draft)
    tried = [{**searched_values(setting), metric: scores.get(trial)} for trial, setting in enumerate(settings)]
    return trained_by_trial[best], tried


def train_recommender(p: RankingMethod, data: TrainingData, on_epoch_end: OnEpochEnd, to: Path) -> TrainedRecommender:
    """Train (or compute) a method and store its best weights."""
    interactions = data.train if isinstance(p, NonParametricMethod) else data.interactions(p.training)
    vocabulary = Vocabulary(interactions["item_id"])
    sequences = training_sequences(interactions, user_targets(interactions), p.history, vocabulary)
    item_domains = item_domains_of(interactions, target_domains(interactions), vocabulary)
    features = None
    if isinstance(p, SequenceMethod):
        requested = p.model.metadata.features if isinstance(p.model, params.BERT4Rec) else []
        features, notices = build_item_features(data.items, vocabulary, requested, data.seed)
        print(*notices, sep="\n", end="\n" if notices else "")
        trained = _train_sequence_model(p, data, features, vocabulary, item_domains, sequences, on_epoch_end)
    else:
        trained = _train_cross_domain_model(p, data, vocabulary, item_domains, interactions, sequences, on_epoch_end)
    metrics = {name: round(value, 6) for name, value in trained.metrics.items()}
    popularity = np.bincount(sequences.items, minlength=len(vocabulary) + 1).astype(np.float32)
    save_model(StoredModel(trained.model, vocabulary, popularity, metrics), p.model, to, features)
    return TrainedRecommender(trained.rows, {**metrics, "items": len(vocabulary), "sequences": len(sequences)})


def development_validation(
    development: pl.DataFrame, history: History, vocabulary: Vocabulary, item_domains: ItemDomains, seed: int
) -> Validation:
    """Return the questions of the development users, each item to be ranked among candidates of its domain."""
    shown, targets = known_questions(development, history, vocabulary)
    return Validation(shown, targets, candidates=domain_candidates(shown, targets, item_domains, seed))


def known_questions(
    interactions: pl.DataFrame, history: History, vocabulary: Vocabulary
) -> tuple[Sequences, np.ndarray]:
    """Return histories and held-out items of the users with an item of their history and the held-out one known."""
    users = user_targets(interactions)
    sequences, held_out = (
        histories(interactions, users, history, vocabulary),
        ground_truth_items(interactions, users, vocabulary),
    )
    known = np.flatnonzero((sequences.lengths > 0) & (held_out > 0))
    return sequences.take(known), held_out[known]


def positive_items(interactions: pl.DataFrame, p: CrossDomainMethod) -> np.ndarray:
    """Return whether each item of `training_sequences` is a positive: rated high enough, or not rated."""
    rated = history_interactions(interactions, user_targets(interactions), p.history)["rating"]
    return (rated.fill_null(p.positive_rating) >= p.positive_rating).to_numpy()


def validation_curves(rows: list[Row], metric: str = SELECTION_METRIC) -> pl.DataFrame:
    """Return the rows (epoch, series, value) of a plot: the metric and mean metadata gates of each validated epoch."""
    points = [
        {"epoch": int(row["epoch"]), "series": name.replace(GATE, "gate: "), "value": value}
        for row in rows
        for name, value in row.items()
        if name == metric or name.startswith(GATE)
    ]
    table = pl.DataFrame(points, schema={"epoch": pl.Int64, "series": pl.String, "value": pl.Float64})
    return table.with_columns(pl.col("value").round(6)).sort("series", "epoch")


@dataclass(frozen=True)
class _Trained:
    model: nn.Module
    rows: list[Row]
    metrics: Row


def _train_sequence_model(
    p: SequenceMethod,
    data: TrainingData,
    features: ItemFeatures,
    vocabulary: Vocabulary,
    item_domains: ItemDomains,
    sequences: Sequences,
    on_epoch_end: OnEpochEnd,
) -> _Trained:
    validation = None
    if p.training.mode == "standard":
        validation = data.validation(p.history, vocabulary, item_domains)
    items, seed, work, pin_memory = len(vocabulary), data.seed, data.work, data.pin_memory
    result = train_sequence_model(
        p, features, items, sequences, validation, seed, work, on_epoch_end, pin_memory=pin_memory
    )
    return _Trained(result.model, result.progress.rows, result.metrics())


def _train_cross_domain_model(
    p: CrossDomainMethod | NonParametricMethod,
    data: TrainingData,
    vocabulary: Vocabulary,
    item_domains: ItemDomains,
    interactions: pl.DataFrame,
    sequences: Sequences,
    on_epoch_end: OnEpochEnd,
) -> _Trained:
    development = data.validation(p.history, vocabulary, item_domains)
    validated = isinstance(p, NonParametricMethod) or p.training.mode == "standard"
    if not len(sequences) or (validated and not len(development.targets)):
        raise InputError(
            f"{len(sequences)} users to train on, {len(development.targets)} development users with a known history "
            "and held-out item: both need some; raise users.train or users.development_share"
        )
    assert development.candidates is not None
    validation = within_domain.Validation(
        UserHistories(development.histories), development.targets, development.candidates
    )
    if isinstance(p, NonParametricMethod):
        model = count_model(p.model, sequences, item_domains.items, data.seed)
        row = {"epoch": 1.0, **within_domain.evaluate(model, validation)}
        return _Trained(model, [row], row)
    positives = positive_items(interactions, p)
    if not positives.any():
        raise InputError(
            f"no item is rated {p.positive_rating} or higher, there is no positive: lower this method's positive_rating"
        )
    titles = None
    if isinstance(p.model, params.DTCDR) and p.model.titles:
        features, _ = build_item_features(data.items, vocabulary, ["title"], data.seed)
        assert features.titles is not None
        titles = features.titles[: item_domains.items + 1]
    users, selection = UserHistories(sequences, positive=positives), validation if validated else None
    result = train_cross_domain_model(
        p.model, p.training, item_domains, users, selection, data.seed, data.work, on_epoch_end, titles=titles
    )
    return _Trained(result.model, result.progress.rows, result.metrics())
