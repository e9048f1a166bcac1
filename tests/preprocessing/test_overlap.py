from dataclasses import replace

import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.preprocessing.overlap import apply_overlap_policy


@pytest.fixture
def overlapping(dataset):
    """One test user of set A is a training user of set A too."""
    guest = dataset.records["A"]["test"].head(1)
    roles = {**dataset.records["A"], "train": pl.concat([dataset.records["A"]["train"], guest])}
    interactions = dataset.interactions["test"].filter(pl.col("user_id") == guest["user_id"][0])
    return guest["user_id"][0], replace(
        dataset,
        records={**dataset.records, "A": roles},
        interactions={**dataset.interactions, "train": pl.concat([dataset.interactions["train"], interactions])},
        training_history=pl.concat([dataset.training_history, interactions.select("user_id", "item_id")]),
    )


def test_stop_names_the_roles_and_the_way_out(overlapping):
    with pytest.raises(InputError, match=r"'train': 1.*'preference': 0.*source.overlap to `drop`"):
        apply_overlap_policy(overlapping[1], "stop")


def test_report_changes_nothing_and_counts(overlapping):
    same, overlap = apply_overlap_policy(overlapping[1], "report")
    assert same is overlapping[1] and overlap == {"train": 1, "development": 0, "preference": 0}


def test_drop_removes_the_user_from_training_only(dataset, overlapping):
    user, overlapping_dataset = overlapping
    remaining, overlap = apply_overlap_policy(overlapping_dataset, "drop")
    assert overlap["train"] == 1
    assert remaining.records["A"]["train"].equals(dataset.records["A"]["train"])
    assert remaining.interactions["train"].equals(dataset.interactions["train"])
    assert remaining.training_history.equals(dataset.training_history)
    assert user in set(remaining.records["A"]["test"]["user_id"])
    assert remaining.interactions["test"].equals(dataset.interactions["test"])


def test_built_data_sets_have_no_overlap(dataset):
    assert apply_overlap_policy(dataset, "stop") == (dataset, {"train": 0, "development": 0, "preference": 0})


def test_a_preference_user_who_is_a_test_user_is_refused_counted_or_dropped(dataset):
    guest = dataset.records["B"]["test"].head(1)
    roles = {**dataset.records["B"], "preference": pl.concat([dataset.records["B"]["preference"], guest])}
    guests = replace(dataset, records={**dataset.records, "B": roles})
    with pytest.raises(InputError, match="'preference': 1"):
        apply_overlap_policy(guests, "stop")
    assert apply_overlap_policy(guests, "report")[1]["preference"] == 1
    dropped, _ = apply_overlap_policy(guests, "drop")
    assert dropped.records["B"]["preference"].equals(dataset.records["B"]["preference"])
    assert dropped.records["B"]["test"].equals(dataset.records["B"]["test"])
