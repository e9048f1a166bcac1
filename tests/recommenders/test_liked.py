"""Stars: which interactions are learned as positives, in the order of what is learned."""

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
def test_stars_stand_in_the_order_of_what_is_learned(dataset, history):
    """Also for readers towards two targets, who have a row for each, and where no stars are told."""
    seen = dataset.interactions["train"]
    seen = seen.with_columns(rating=pl.when(pl.int_range(pl.len()) % 17 == 0).then(None).otherwise("rating"))
    assert user_targets(seen)["user_id"].is_duplicated().any() and seen["rating"].null_count() > 10
    vocabulary, p = Vocabulary(seen["item_id"]), replace(CONET, history=history)
    rows = training_sequences(seen, user_targets(seen), history, vocabulary)
    stars = {(user, item): rating for user, item, rating in seen.select("user_id", "item_id", "rating").iter_rows()}
    who = user_targets(seen)["user_id"].to_list()
    told = [stars[who[row], item] for row, item in zip(rows.users, vocabulary.ids(rows.items), strict=True)]
    assert positive_items(seen, p).tolist() == [own is None or own >= 4 for own in told]
    assert 0.3 < positive_items(seen, p).mean() < 1


def test_readers_who_liked_nothing_teach_nothing(dataset, world, tmp_path):
    low = dataset.interactions["train"].with_columns(rating=pl.lit(3.0))
    given = TrainingData(1, world.items, low, dataset.interactions["development"], tmp_path / "w")
    with pytest.raises(InputError, match=r"no item has 4.0 stars or more"):
        train_recommender(CONET, given, lambda _: None, tmp_path / "m")
