"""Random search: every method gets as many trials, and the best on the development users is stored."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from kitrec.core import params
from kitrec.core.randomness import generator
from kitrec.recommenders.params import AnyMethod, IdRec
from kitrec.recommenders.search import draw_around
from kitrec.recommenders.sequence_training import SELECTION_METRIC
from kitrec.recommenders.storage import load_model
from kitrec.recommenders.train import TrainingData, train_best

ROOT = Path(__file__).resolve().parents[2]


def method(name: str):
    return params.load(AnyMethod, f"idrec.methods.{name}", ROOT / params.FILE)


def training_data(dataset, world, work) -> TrainingData:
    return TrainingData(3, world.items, dataset.interactions["train"], dataset.interactions["development"], work)


@pytest.fixture
def short_sasrec():
    p = method("sasrec")
    return replace(p, training=replace(p.training, epochs=3))


def test_the_best_trial_is_stored_and_all_are_reported(dataset, world, short_sasrec, tmp_path):
    data = training_data(dataset, world, tmp_path / "work")
    trained, tried = train_best("sasrec", short_sasrec, 3, data, lambda _: None, tmp_path / "m")
    scores = [row["ndcg@10"] for row in tried]
    assert len(tried) == 3 and len(set(scores)) > 1 and trained.metrics["ndcg@10"] == max(scores)
    assert tried[0]["learning_rate"] == short_sasrec.training.learning_rate  # the first as params say
    assert load_model(tmp_path / "m").metrics["ndcg@10"] == max(scores)
    again, tried_again = train_best(
        "sasrec", short_sasrec, 3, data, lambda _: None, tmp_path / "n"
    )  # from the work of the first
    assert tried_again == tried and again.rows == trained.rows
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "mn"]
    assert files[0] == files[1]


def test_a_single_trial_is_the_method_as_configured(dataset, world, short_sasrec, tmp_path):
    trained, tried = train_best(
        "s", short_sasrec, 1, training_data(dataset, world, tmp_path), lambda _: None, tmp_path / "m"
    )
    assert len(trained.rows) == 3
    assert tried == [
        {
            "dropout": 0.5,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            SELECTION_METRIC: trained.metrics[SELECTION_METRIC],
        }
    ]


@pytest.mark.parametrize("name", ["sasrec", "conet", "item_knn", "ease", "random_walk", "bert4rec"])
def test_drawn_settings_stay_in_the_search_space_and_differ(name):
    p = method(name)
    drawn = [draw_around(p, generator(1, name, k)) for k in range(200)]
    assert all(type(setting.model) is type(p.model) for setting in drawn)
    if hasattr(p, "training"):
        rates = pl.Series([setting.training.learning_rate / p.training.learning_rate for setting in drawn]).log10()
        assert rates.is_between(-1.01, 0.51).all() and abs(rates.mean() + 0.25) < 0.1  # U(-1, 1/2): mean -1/4
        without = sum(setting.training.weight_decay == 0 for setting in drawn)
        assert 70 < without < 130  # half of 200, four standard errors are 28
    else:
        assert len({repr(setting.model) for setting in drawn}) > 100


def test_a_training_without_validation_is_not_searched():
    p = params.load(IdRec, "idrec", ROOT / params.FILE)
    sasrec = p.methods["sasrec"]
    without_validation = {**p.methods, "sasrec": replace(sasrec, training=replace(sasrec.training, mode="full_data"))}
    with pytest.raises(ValueError, match="sasrec has no validation"):
        replace(p, trials=2, methods=without_validation)
    assert replace(p, trials=1, methods=without_validation).trials == 1
