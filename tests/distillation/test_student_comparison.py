"""The comparison of two students against scipy's paired test and against ranks counted by hand."""

import numpy as np
import pytest
from scipy import stats

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.distillation.comparison import compare, user_ndcg
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.sequence_training import Validation
from tests.recommenders.made_models import made_model, made_sequences


def test_the_mean_of_the_users_is_the_ndcg_of_the_ranking():
    model, sequences = made_model("sasrec"), made_sequences(60, seed=2)
    histories = sequences.take(np.flatnonzero(sequences.lengths > 1))
    gains = user_ndcg(model, Validation(histories.without_last(), histories.last()), 20)
    better, equal = ranks(model, histories.without_last(), histories.last())
    assert gains.mean() == pytest.approx(mean_metrics(better, equal, 20)["ndcg@20"])
    untied = np.where((equal == 1) & (better < 20), 1 / np.log2(better + 2), 0)
    assert np.allclose(gains[equal == 1], untied[equal == 1])


def test_the_test_is_scipys_paired_one_over_users():
    rng = np.random.default_rng(0)
    baseline, distilled = rng.random((3, 50)), rng.random((3, 50)) + 0.2
    comparison = compare(baseline, distilled)
    reference = stats.ttest_rel(distilled.mean(0), baseline.mean(0))
    interval = reference.confidence_interval(0.95)
    expected = (reference.pvalue, interval.low, interval.high)
    assert (comparison.p_value, comparison.low, comparison.high) == pytest.approx(expected)
    assert comparison.relative_gain == pytest.approx(distilled.mean() / baseline.mean() - 1)
    assert comparison.gain_by_seed == pytest.approx((distilled.mean(1) / baseline.mean(1) - 1).tolist())
    assert comparison.metrics()["users"] == 50


def test_there_is_no_relative_gain_over_a_baseline_without_hits():
    comparison = compare(np.zeros((2, 9)), np.full((2, 9), 0.2) + np.arange(9) / 100)
    assert comparison.relative_gain is None and comparison.metrics()["relative_gain"] is None
    assert comparison.gain_by_seed == [None, None] and comparison.p_value < 0.01


def test_equal_students_do_not_differ():
    same = np.random.default_rng(1).random((2, 30))
    comparison = compare(same, same)
    assert (comparison.difference, comparison.p_value, comparison.relative_gain) == (0, 1.0, 0)
