"""AUC and UAUC against scikit-learn, intervals against what is known of them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.thinkrec.auc import auc, better, judged, uauc


def rows(seed: int, count: int = 400, users: int = 40, shift: float = 0.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = np.round(rng.normal(size=count) + shift * labels, 1)  # many ties
    return labels, scores, [f"u{k}" for k in rng.integers(0, users, count)]


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scikit_learn(seed):
    labels, scores, users = rows(seed, count=60)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    own = []
    for user in set(users):
        mine = np.array([name == user for name in users])
        if len(set(labels[mine])) == 2:
            own.append(roc_auc_score(labels[mine], scores[mine]))
    assert uauc(labels, scores, users) == pytest.approx(np.mean(own), abs=1e-12)


def test_a_resample_is_auc_with_its_rows_repeated():
    labels, scores, users = rows(7, count=60, users=6)
    found = judged(labels, scores, users, 50, seed=1)
    number = np.unique(users, return_inverse=True)[1]
    left = [np.flatnonzero(number != k) for k in range(6)]
    truth = [[auc(labels[r], scores[r]), uauc(labels[r], scores[r], [users[k] for k in r])] for r in left]
    assert np.allclose(found.without_each, truth)
    rng = generator(1, "resampled users")
    drawn = [np.concatenate([np.flatnonzero(number == k) for k in rng.integers(0, 6, 6)]) for _ in range(50)]
    assert found.resampled[:, 0] == pytest.approx([roc_auc_score(labels[r], scores[r]) for r in drawn], abs=1e-9)


def test_intervals_hold_the_value_and_narrow_with_users():
    few = judged(*rows(1, count=200, users=20), 500, seed=1).told()
    many = judged(*rows(1, count=4000, users=400), 500, seed=1).told()
    for told in (few, many):
        assert told["auc_low"] < told["auc"] < told["auc_high"] and told["uauc_low"] < told["uauc"] < told["uauc_high"]
    assert many["auc_high"] - many["auc_low"] < (few["auc_high"] - few["auc_low"]) / 2


def test_a_difference_is_seen_where_there_is_one():
    labels, scores, users = rows(2, count=2000, users=200, shift=1.0)
    noise = np.random.default_rng(5).normal(size=len(labels))
    good, same = judged(labels, scores, users, 500, 1), judged(labels, scores, users, 500, 1)
    worse = judged(labels, scores + 2 * noise, users, 500, 1)
    assert better(good, worse)["auc"] > 0 and better(good, worse)["auc_p"] < 0.01
    assert better(good, same)["auc_p"] == 1.0 and better(good, same)["auc"] == 0


def test_one_label_alone_has_no_auc():
    with pytest.raises(InputError, match="all labels are the same"):
        judged(np.ones(4), np.arange(4.0), list("abcd"), 10, 0)
