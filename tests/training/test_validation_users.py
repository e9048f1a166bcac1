"""Who chooses an epoch: all users, or a sample that depends on the seed alone; and its standard error."""

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.training.device import use_device
from kitrec.training.validation_users import sample_rows, sample_users, sampled_positions

TABLE = pl.DataFrame({"user_id": [f"u{k % 40:02}" for k in range(120)], "row": range(120)})


@pytest.mark.parametrize("most", [40, 1000, "all"])
def test_where_there_are_no_more_users_the_table_stays_as_it_is(most):
    assert sample_rows(TABLE, most, seed=1).equals(TABLE)


def test_a_sample_holds_whole_users_in_the_order_of_the_table():
    sampled = sample_rows(TABLE, 7, seed=1)
    assert sampled["user_id"].n_unique() == 7 and sampled.height == 21
    assert sampled["row"].is_sorted()


def test_a_sample_is_that_of_the_seed_whatever_the_order_of_the_rows():
    first = set(sample_users(TABLE["user_id"], 7, seed=1))
    assert first == set(sample_users(TABLE["user_id"].reverse(), 7, seed=1))
    assert first != set(sample_users(TABLE["user_id"], 7, seed=2))


def test_the_error_of_a_sample_is_that_of_the_arithmetic():
    """By brute force: the spread of the means of many samples is s / sqrt(n), less what a finite population takes."""
    values = np.random.default_rng(0).normal(0.2, 0.3, 4000)
    means = [values[sampled_positions(4000, 250, seed)].mean() for seed in range(600)]
    assert np.std(means) == pytest.approx(values.std() / np.sqrt(250) * np.sqrt(1 - 250 / 4000), rel=0.1)


def test_the_shipped_numbers_keep_the_error_below_a_tenth_of_the_gain():
    """Gain and standard deviation of the difference as measured; see kitrec/training/validation_users.py."""
    for users, gain, deviation in ((10_000, 0.0101, 0.097), (1_000, 0.174, 0.477)):
        assert deviation / np.sqrt(users) < gain / 10


def test_a_gpu_that_is_asked_for_and_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=r"trainer\.device: cuda, and torch sees no GPU"):
        use_device("cuda")
    assert use_device("auto").type == "cpu"


def test_the_cpu_hides_the_gpus_from_the_process_and_its_children(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert use_device("cpu").type == "cpu"
    import os

    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
