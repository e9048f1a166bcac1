"""The comparison of two students against scipy's own paired test and against ranks counted by hand."""

import numpy as np
import pytest
from scipy import stats

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.distillation.comparison import compare, gains
from kitrec.recommenders.ranking.full import ranks
from tests.recommenders.made_models import made_model, made_sequences


def test_gains_have_the_mean_that_the_ranking_tells():
    model, sequences = made_model("sasrec"), made_sequences(60, seed=2)
    own = sequences.take(np.flatnonzero(sequences.lengths > 1))
    found = gains(model, own.without_last(), own.last(), 20)
    better, equal = ranks(model, own.without_last(), own.last())
    assert found.mean() == pytest.approx(mean_metrics(better, equal, 20)["ndcg@20"])
    alone = np.where((equal == 1) & (better < 20), 1 / np.log2(better + 2), 0)
    assert np.allclose(found[equal == 1], alone[equal == 1])


def test_the_test_is_scipys_paired_one_over_readers():
    rng = np.random.default_rng(0)
    alone, taught = rng.random((3, 50)), rng.random((3, 50)) + 0.2
    found = compare(alone, taught)
    other = stats.ttest_rel(taught.mean(0), alone.mean(0))
    interval = other.confidence_interval(0.95)
    assert (found.p_value, found.low, found.high) == pytest.approx((other.pvalue, interval.low, interval.high))
    assert found.relative_gain == pytest.approx(taught.mean() / alone.mean() - 1)
    assert found.gain_of_seeds == pytest.approx((taught.mean(1) / alone.mean(1) - 1).tolist())
    assert found.told()["readers"] == 50


def test_against_a_student_that_has_nothing_right_there_is_no_share():
    found = compare(np.zeros((2, 9)), np.full((2, 9), 0.2) + np.arange(9) / 100)
    assert found.relative_gain is None and found.told()["relative_gain"] is None
    assert found.gain_of_seeds == [None, None] and found.p_value < 0.01


def test_equal_students_differ_in_nothing():
    same = np.random.default_rng(1).random((2, 30))
    found = compare(same, same)
    assert (found.difference, found.p_value, found.relative_gain) == (0, 1.0, 0)
