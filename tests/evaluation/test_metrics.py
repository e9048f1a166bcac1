from math import log2

import numpy as np
import pytest

from kitrec.evaluation.metrics import MISSING, metrics
from kitrec.schemas.scores import METRICS


def metrics_of(better: int, equal: int = 1) -> dict[str, float]:
    return {name: float(v[0]) for name, v in metrics(np.array([better]), np.array([equal])).items()}


@pytest.mark.parametrize(
    ("rank", "ndcg5", "ndcg10"),
    [
        (1, 1.0, 1.0),
        (2, 0.6309297536, 0.6309297536),
        (3, 0.5, 0.5),
        (5, 0.3868528072, 0.3868528072),
        (10, 0, 0.2890648263),
    ],
)
def test_metrics_match_the_values_of_the_specification(rank, ndcg5, ndcg10):
    got = metrics_of(rank - 1)
    assert got["ndcg@5"] == pytest.approx(ndcg5, abs=1e-9) and got["ndcg@10"] == pytest.approx(ndcg10, abs=1e-9)
    assert got["mrr"] == pytest.approx(1 / rank)
    assert [got[f"hit@{k}"] for k in (1, 5, 10)] == [rank <= 1, rank <= 5, rank <= 10]


def test_a_missing_item_scores_zero_in_every_metric():
    assert set(metrics_of(MISSING).values()) == {0.0}


def test_a_hundred_ties_score_as_a_random_order():
    got = metrics_of(0, 100)
    assert got["hit@10"] == pytest.approx(0.10, abs=1e-12) and got["hit@1"] == pytest.approx(0.01, abs=1e-12)
    assert got["mrr"] == pytest.approx(sum(1 / r for r in range(1, 101)) / 100, abs=1e-12)
    assert got["mrr"] == pytest.approx(0.0519, abs=5e-5)


@pytest.mark.parametrize(("better", "equal"), [(0, 3), (4, 2), (8, 5), (20, 7)])
def test_ties_are_the_mean_over_all_orders(better, equal):
    ranks = range(better + 1, better + equal + 1)
    every = [metrics_of(rank - 1) for rank in ranks]
    tied = metrics_of(better, equal)
    for name in METRICS:
        assert tied[name] == pytest.approx(np.mean([e[name] for e in every]), abs=1e-12)


def test_ndcg_matches_the_formula():
    assert metrics_of(6)["ndcg@10"] == pytest.approx(1 / log2(8), abs=1e-12)
