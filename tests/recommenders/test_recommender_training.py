"""Trainings of sequence models from end to end: resuming, the best epoch, full_data."""

import numpy as np
import polars as pl
import pytest
import torch

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import leave_one_out
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.sequence_training import Validation, train_sequence_model
from kitrec.recommenders.train import TrainingData, train_recommender
from tests.recommenders.made_models import (
    CE,
    ITEMS,
    KINDS,
    made_sequences,
    made_training_config,
    model_params,
)

INTERACTIONS = pl.DataFrame(
    [
        ("u1", "books", "b1", 10, False),
        ("u1", "movies", "m1", 20, False),
        ("u1", "books", "b2", 30, False),
        ("u1", "music", "c1", 35, True),
        ("u1", "movies", "m2", 40, True),
        ("u2", "books", "b3", 10, False),
        ("u2", "music", "c2", 50, True),
    ],
    schema=["user_id", "domain", "item_id", "time", "held_out"],
    orient="row",
)


def made_method(kind: str, **config) -> SequenceMethod:
    return SequenceMethod(
        history="both", model=model_params(kind, dropout=0.2), loss=CE, training=made_training_config(**config)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_resumes_to_the_same_bytes(kind, tmp_path):
    sequences = made_sequences(120, seed=7)
    split = leave_one_out(sequences)
    validation = Validation(split.before_validation, split.validation)
    usable = np.flatnonzero(validation.histories.lengths > 0)
    validation = Validation(validation.histories.take(usable), validation.targets[usable])

    def run(folder, stop=None):
        folder.mkdir(exist_ok=True)

        def on_epoch_end(progress):
            if progress.epoch == stop:
                raise KeyboardInterrupt

        return train_sequence_model(
            made_method(kind, epochs=6), ItemFeatures(), ITEMS, split.train, validation, 1, folder, on_epoch_end
        )

    uninterrupted = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", stop=3)
    resumed = run(tmp_path / "broken")
    assert uninterrupted.progress == resumed.progress
    pairs = zip(uninterrupted.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_best_epoch_is_kept_and_patience_ends_the_training(tmp_path):
    noise = made_sequences(60, seed=9)
    split = leave_one_out(noise)
    usable = np.flatnonzero(split.before_validation.lengths > 0)
    validation = Validation(split.before_validation.take(usable), split.validation[usable])
    result = train_sequence_model(
        made_method("sasrec", epochs=200, patience=3),
        ItemFeatures(),
        ITEMS,
        split.train,
        validation,
        1,
        tmp_path,
        lambda _: None,
    )
    rows = [row["ndcg@10"] for row in result.progress.rows]
    assert len(rows) < 200 and rows.index(max(rows)) == len(rows) - 4 == result.progress.best_epoch - 1
    again = mean_metrics(*ranks(result.model, validation.histories, validation.targets))["ndcg@10"]
    assert again == pytest.approx(max(rows), abs=1e-12)


def test_full_data_trains_all_epochs_and_keeps_the_lowest_loss(tmp_path):
    method = made_method("sasrec", mode="full_data", epochs=4)
    result = train_sequence_model(method, ItemFeatures(), ITEMS, made_sequences(40), None, 1, tmp_path, lambda _: None)
    losses = [row["loss"] for row in result.progress.rows]
    assert len(losses) == 4 and result.progress.best_epoch == losses.index(min(losses)) + 1


def test_full_data_also_trains_on_the_development_users(tmp_path):
    development = INTERACTIONS.with_columns(user_id=pl.col("user_id") + "d", item_id=pl.col("item_id") + "d")
    items = pl.DataFrame(schema={"item_id": pl.String, "title": pl.String, "categories": pl.List(pl.String)})
    metrics = {}
    for mode in ("standard", "full_data"):
        data = TrainingData(1, items, INTERACTIONS, pl.concat([development, INTERACTIONS]), tmp_path / f"work-{mode}")
        data.work.mkdir()
        metrics[mode] = train_recommender(
            made_method("sasrec", mode=mode, epochs=1), data, lambda _: None, tmp_path / mode
        ).metrics
    assert (metrics["standard"]["sequences"], metrics["standard"]["items"]) == (3, 7)
    assert (metrics["full_data"]["sequences"], metrics["full_data"]["items"]) == (6, 14)
