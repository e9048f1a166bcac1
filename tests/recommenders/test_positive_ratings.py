"""Ratings that make an interaction a positive, in the order of the training sequences."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.recommenders.data.user_histories import training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.train import TrainingData, positive_items, train_recommender

ROOT = Path(__file__).resolve().parents[2]
CONET = params.load(AnyMethod, "idrec.methods.conet", ROOT / params.FILE)


@pytest.mark.parametrize("history", ["target", "both"])
def test_positive_items_follow_the_order_of_the_training_sequences(dataset, history):
    """Users of two targets have a row for each, and an interaction without a rating is a positive."""
    interactions = dataset.interactions["train"]
    interactions = interactions.with_columns(
        rating=pl.when(pl.int_range(pl.len()) % 17 == 0).then(None).otherwise("rating")
    )
    assert user_targets(interactions)["user_id"].is_duplicated().any() and interactions["rating"].null_count() > 10
    vocabulary, p = Vocabulary(interactions["item_id"]), replace(CONET, history=history)
    rows = training_sequences(interactions, user_targets(interactions), history, vocabulary)
    ratings = {
        (user, item): rating for user, item, rating in interactions.select("user_id", "item_id", "rating").iter_rows()
    }
    users = user_targets(interactions)["user_id"].to_list()
    expected = [ratings[users[row], item] for row, item in zip(rows.users, vocabulary.ids(rows.items), strict=True)]
    assert positive_items(interactions, p).tolist() == [rating is None or rating >= 4 for rating in expected]
    assert 0.3 < positive_items(interactions, p).mean() < 1


def test_a_training_without_positives_is_refused(dataset, world, tmp_path):
    low = dataset.interactions["train"].with_columns(rating=pl.lit(3.0))
    data = TrainingData(1, world.items, low, dataset.interactions["development"], tmp_path / "w")
    with pytest.raises(
        InputError, match=r"no item is rated 4.0 or higher, there is no positive: lower this method's positive_rating"
    ):
        train_recommender(CONET, data, lambda _: None, tmp_path / "m")
