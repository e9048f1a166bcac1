"""AUC and UAUC against scikit-learn, intervals and paired differences against what is known of them."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from kitrec.core.auc import auc, uauc
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.evaluation.auc_intervals import bootstrap_auc, like_prediction_auc, paired_difference


def made_rows(seed: int, count: int = 400, users: int = 40, shift: float = 0.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = np.round(rng.normal(size=count) + shift * labels, 1)  # many ties
    return labels, scores, [f"u{k}" for k in rng.integers(0, users, count)]


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_uauc_equal_scikit_learn(seed):
    labels, scores, users = made_rows(seed, count=60)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    by_user = []
    for user in set(users):
        mine = np.array([name == user for name in users])
        if len(set(labels[mine])) == 2:
            by_user.append(roc_auc_score(labels[mine], scores[mine]))
    assert uauc(labels, scores, users) == pytest.approx(np.mean(by_user), abs=1e-12)


def test_a_resample_equals_auc_of_repeated_rows_and_a_jackknife_value_auc_without_a_user():
    labels, scores, users = made_rows(7, count=60, users=6)
    estimate = bootstrap_auc(labels, scores, users, 50, seed=1)
    index = np.unique(users, return_inverse=True)[1]
    left = [np.flatnonzero(index != k) for k in range(6)]
    expected = [[auc(labels[r], scores[r]), uauc(labels[r], scores[r], [users[k] for k in r])] for r in left]
    assert np.allclose(estimate.without_each, expected)
    rng = generator(1, "resampled users")
    drawn = [np.concatenate([np.flatnonzero(index == k) for k in rng.integers(0, 6, 6)]) for _ in range(50)]
    assert estimate.resampled[:, 0] == pytest.approx([roc_auc_score(labels[r], scores[r]) for r in drawn], abs=1e-9)


def test_intervals_contain_the_value_and_narrow_with_more_users():
    few = bootstrap_auc(*made_rows(1, count=200, users=20), 500, seed=1).to_dict()
    many = bootstrap_auc(*made_rows(1, count=4000, users=400), 500, seed=1).to_dict()
    for row in (few, many):
        assert row["auc_low"] < row["auc"] < row["auc_high"] and row["uauc_low"] < row["uauc"] < row["uauc_high"]
    assert many["auc_high"] - many["auc_low"] < (few["auc_high"] - few["auc_low"]) / 2


def test_a_paired_difference_is_significant_only_if_there_is_one():
    labels, scores, users = made_rows(2, count=2000, users=200, shift=1.0)
    noise = np.random.default_rng(5).normal(size=len(labels))
    good, same = bootstrap_auc(labels, scores, users, 500, 1), bootstrap_auc(labels, scores, users, 500, 1)
    worse = bootstrap_auc(labels, scores + 2 * noise, users, 500, 1)
    assert paired_difference(good, worse)["auc"] > 0 and paired_difference(good, worse)["auc_p"] < 0.01
    assert paired_difference(good, same)["auc_p"] == 1.0 and paired_difference(good, same)["auc"] == 0


def test_rows_of_one_label_have_no_auc():
    with pytest.raises(InputError, match="all labels are the same"):
        bootstrap_auc(np.ones(4), np.arange(4.0), list("abcd"), 10, 0)


def test_without_a_user_of_both_labels_there_is_auc_alone():
    row = bootstrap_auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.3, 0.2]), list("abcd"), 50, seed=0).to_dict()
    assert row["auc"] == 0.75 and "uauc" not in row


def test_a_user_with_two_target_domains_counts_as_two_users():
    """Scores of the two domains are on different scales: together they would mix, apart each is in order."""
    records = pl.DataFrame(
        {
            "record_id": ["1", "2", "3"],
            "user_id": ["u", "u", "v"],
            "target": ["movies", "music", "movies"],
            "gt_item_id": ["a", "c", "b"],
        }
    )
    lists = {"item_ids": [["a", "b"], ["c", "d"], ["a", "b"]], "scores": [[0.9, 0.8], [0.3, 0.1], [0.6, 0.5]]}
    rankings = pl.DataFrame({"record_id": ["1", "2", "3"], **lists})
    row = like_prediction_auc(rankings, records, 20, seed=0).to_dict()
    assert row["uauc"] == round(2 / 3, 5)  # 1, 1, and 0 of v, whose ground truth is second
    labels, scores = [1, 0, 1, 0, 0, 1], [0.9, 0.8, 0.3, 0.1, 0.6, 0.5]
    assert row["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-5)
