"""One formula of tie-aware metrics serves validation and evaluation."""

import numpy as np
import pytest

from kitrec.core.ranking_metrics import expected_metric, mean_metrics
from kitrec.evaluation.metrics import metrics


def test_a_tie_is_the_mean_over_its_ranks():
    better, equal = np.array([1]), np.array([3])  # ranks 2, 3 and 4
    assert expected_metric("hit@3", better, equal)[0] == pytest.approx(2 / 3)
    assert expected_metric("mrr", better, equal)[0] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert expected_metric("ndcg@3", better, equal)[0] == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / 3)


def test_validation_and_evaluation_give_the_same_numbers():
    rng = np.random.default_rng(0)
    better, equal = rng.integers(0, 60, 500), rng.integers(1, 5, 500)
    evaluated = metrics(better, equal)
    for depth in (5, 10):
        for name, value in mean_metrics(better, equal, depth).items():
            assert value == evaluated[name].mean()
