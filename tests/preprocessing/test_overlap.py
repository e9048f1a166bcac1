from dataclasses import replace

import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.preprocessing.overlap import apply_overlap_policy


@pytest.fixture
def overlapping(dataset):
    """One test user of set A is a training user of set A too."""
    guest = dataset.records["A"]["test"].head(1)
    own = {**dataset.records["A"], "train": pl.concat([dataset.records["A"]["train"], guest])}
    seen = dataset.interactions["test"].filter(pl.col("user_id") == guest["user_id"][0])
    return guest["user_id"][0], replace(
        dataset,
        records={**dataset.records, "A": own},
        interactions={**dataset.interactions, "train": pl.concat([dataset.interactions["train"], seen])},
        training_history=pl.concat([dataset.training_history, seen.select("user_id", "item_id")]),
    )


def test_stop_names_the_roles_and_the_way_out(overlapping):
    with pytest.raises(InputError, match=r"'train': 1.*'preference': 0.*source.overlap to `drop`"):
        apply_overlap_policy(overlapping[1], "stop")


def test_report_changes_nothing_and_counts(overlapping):
    same, found = apply_overlap_policy(overlapping[1], "report")
    assert same is overlapping[1] and found == {"train": 1, "development": 0, "preference": 0}


def test_drop_takes_the_user_out_of_training_only(dataset, overlapping):
    user, given = overlapping
    left, found = apply_overlap_policy(given, "drop")
    assert found["train"] == 1
    assert left.records["A"]["train"].equals(dataset.records["A"]["train"])
    assert left.interactions["train"].equals(dataset.interactions["train"])
    assert left.training_history.equals(dataset.training_history)
    assert user in set(left.records["A"]["test"]["user_id"])
    assert left.interactions["test"].equals(dataset.interactions["test"])


def test_nobody_overlaps_in_what_is_built_here(dataset):
    assert apply_overlap_policy(dataset, "stop") == (dataset, {"train": 0, "development": 0, "preference": 0})
