"""Kappa against an identity, against scikit-learn's numbers, and undefined cases."""

import numpy as np
import pytest

from kitrec.llm_judge.agreement import agreement

LEVELS = range(1, 11)


def identity(first: np.ndarray, second: np.ndarray) -> float:
    """Fleiss and Cohen (1973): with quadratic weights kappa is 2 cov / (var + var + (mean - mean)^2)."""
    covariance = np.mean((first - first.mean()) * (second - second.mean()))
    return float(2 * covariance / (first.var() + second.var() + (first.mean() - second.mean()) ** 2))


@pytest.mark.parametrize("seed", range(5))
def test_quadratic_kappa_is_the_concordance_of_the_ratings(seed):
    rng = np.random.default_rng(seed)
    first = rng.integers(1, 11, 50)
    second = np.clip(first + rng.integers(-3, 4, 50), 1, 10)
    result = agreement(np.column_stack([first, second]).astype(float), LEVELS)
    assert result == {"kappa": pytest.approx(identity(first, second), abs=5e-5), "n": 50}


def test_kappa_equals_scikit_learns():
    """cohen_kappa_score(first, second, weights="quadratic", labels=range(1, 11)) of scikit-learn 1.9.1."""
    first = [3, 7, 8, 2, 10, 5, 5, 6, 9, 1, 4, 7]
    second = [4, 7, 6, 2, 9, 5, 8, 6, 10, 3, 4, 5]
    assert agreement(np.array([first, second], float).T, LEVELS)["kappa"] == pytest.approx(0.8394648829431438, abs=5e-5)


def test_three_repeats_are_the_mean_of_their_pairs_and_unjudged_subjects_do_not_count():
    rng = np.random.default_rng(9)
    ratings = rng.integers(1, 11, (30, 3)).astype(float)
    pairs = [identity(ratings[:, a], ratings[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    holes = np.vstack([ratings, [[1, np.nan, 1], [np.nan] * 3]])
    assert agreement(holes, LEVELS) == {"kappa": pytest.approx(np.mean(pairs), abs=5e-5), "n": 30}


def test_wins_and_losses_are_ordered_levels():
    outcomes = np.array([[1, 1], [1, 0], [-1, -1], [0, 0], [-1, 1]], float)
    assert agreement(outcomes, (-1, 0, 1))["kappa"] == pytest.approx(identity(*outcomes.T), abs=5e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        ([[7, 7], [7, 7]], {"kappa": None, "n": 2, "reason": "two repeats rate everything 7"}),
        ([[7], [3]], {"kappa": None, "n": 2, "reason": "judged once"}),
        ([[7, np.nan]], {"kappa": None, "n": 0, "reason": "nothing was judged in all repeats"}),
        ([[7, 3], [7, 3]], {"kappa": 0.0, "n": 2}),
        ([[7, 3], [7, 8]], {"kappa": 0.0, "n": 2}),
        ([[1, 10], [10, 1]], {"kappa": -1.0, "n": 2}),
        ([[1, 1], [10, 10]], {"kappa": 1.0, "n": 2}),
    ],
)
def test_an_undefined_kappa_has_a_reason(ratings, expected):
    assert agreement(np.array(ratings, float), LEVELS) == expected
