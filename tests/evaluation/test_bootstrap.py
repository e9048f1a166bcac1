import numpy as np
import pytest
from scipy import stats

from kitrec.evaluation.bootstrap import UserSums, accelerations, intervals, resampled_means


def interval(values: np.ndarray, counts: np.ndarray, seed: int, resamples: int = 2000):
    users = UserSums(values, counts)
    drawn = resampled_means(users, resamples, np.random.default_rng(seed))
    return intervals(users.means(), drawn, accelerations(users.leave_one_out_means()))


@pytest.mark.parametrize("make", [lambda g: g.exponential(size=40), lambda g: (g.random(60) < 0.2).astype(float)])
def test_intervals_equal_scipys_bca_on_the_same_resamples(make):
    values = make(np.random.default_rng(3))
    result = interval(values[:, None], np.ones(len(values)), seed=5)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, batch=250, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    assert np.array(result)[:, 0] == pytest.approx([expected.low, expected.high], abs=1e-9)


def test_leave_one_out_means_are_over_the_remaining_records():
    sums, counts = np.array([[3.0], [4.0], [10.0]]), np.array([1.0, 2.0, 2.0])
    assert UserSums(sums, counts).leave_one_out_means()[:, 0] == pytest.approx([14 / 4, 13 / 3, 7 / 3])
    assert UserSums(sums, counts).means() == pytest.approx([17 / 5])


def test_a_constant_column_and_a_single_user_have_their_mean_as_bounds():
    low, high = interval(np.ones((30, 1)), np.ones(30), seed=1)
    assert low[0] == high[0] == 1.0
    low, high = interval(np.array([[0.5]]), np.ones(1), seed=1)
    assert low[0] == high[0] == 0.5


def test_intervals_cover_the_true_mean_at_the_nominal_rate():
    """1,000 samples of 100 skewed values (exponential, mean 1), each a column: 95 % within Monte Carlo error."""
    covered = 0
    for seed in range(10):
        sample = np.random.default_rng(seed).exponential(size=(100, 100))
        low, high = interval(sample, np.ones(100), seed=seed, resamples=1000)
        covered += int(((low <= 1) & (high >= 1)).sum())
    assert 0.92 <= covered / 1000 <= 0.97
