import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from kitrec.evaluation.bootstrap import accelerations, intervals, resampled_means, user_sums
from kitrec.evaluation.paired import effect_size_name, paired_tests


def columns(users: int, seed: int) -> np.ndarray:
    g = np.random.default_rng(seed)
    hits = (g.random((2, users)) < 0.3).astype(float)
    return np.stack([g.normal(0.1, 1, users), hits[0] - hits[1], g.exponential(size=users) - 0.8], axis=1)


def test_t_wilcoxon_and_effect_are_scipys():
    differences = columns(200, 1)
    result = paired_tests(differences, 100, np.random.default_rng(0))
    for k in range(3):
        column = differences[:, k]
        t = stats.ttest_1samp(column, 0)
        assert (result.t[k], result.p_t[k]) == pytest.approx((t.statistic, t.pvalue), abs=1e-9)
        wilcoxon = stats.wilcoxon(column, zero_method="wilcox", method="asymptotic")
        assert result.p_wilcoxon[k] == pytest.approx(wilcoxon.pvalue, abs=1e-9)
        assert result.effect[k] == pytest.approx(column.mean() / column.std(ddof=1))


def test_identical_methods_have_p_1_and_no_effect_and_nothing_is_nan():
    result = paired_tests(np.zeros((50, 2)), 200, np.random.default_rng(0))
    for p in (result.p_t, result.p_wilcoxon, result.p_permutation):
        assert (p == 1).all()
    assert (result.effect == 0).all() and (result.mde == 0).all()


def test_rounding_errors_are_no_difference():
    noise = np.where(np.arange(60)[:, None] % 2, 1e-17, 0.0)
    result = paired_tests(np.hstack([noise, noise + 0.1]), 100, np.random.default_rng(0))
    assert result.p_t[0] == result.p_wilcoxon[0] == result.p_permutation[0] == 1
    assert result.p_t[1] < 1e-9 and result.effect[1] == np.inf


def test_the_p_of_a_claim_asks_for_the_mean_where_ties_fool_signed_ranks():
    """One method ties all twenty candidates of 70 % of users: they all differ by a twentieth, and the means hardly."""
    g = np.random.default_rng(8)
    tied, hits = g.random(1000) < 0.7, (g.random((2, 1000)) < [[0.10], [0.217]]).astype(float)
    differences = (hits[0] - np.where(tied, 0.05, hits[1]))[:, None]
    users = user_sums(np.arange(1000), differences)
    means = (users.means(), resampled_means(users, 2000, g), accelerations(users.leave_one_out_means()))
    low, high = intervals(*means)
    result = paired_tests(differences, 2000, g)
    assert low[0] < 0 < high[0] and result.p_wilcoxon[0] < 1e-30
    assert result.p_permutation[0] > 0.05 and result.p_permutation[0] == pytest.approx(result.p_t[0], abs=0.03)


def test_false_positives_stay_at_the_nominal_rate():
    """A/A: two methods with the same chance of a hit, 2,000 times on 300 users."""
    g = np.random.default_rng(11)
    hits = (g.random((2, 300, 2000)) < 0.25).astype(float)
    result = paired_tests(hits[0] - hits[1], 999, g)
    for p in (result.p_t, result.p_wilcoxon, result.p_permutation):
        assert 0.034 <= (p < 0.05).mean() <= 0.067


def test_the_minimum_detectable_effect_is_found_in_80_percent_of_samples():
    differences = np.random.default_rng(0).normal(size=(80, 1))
    result = paired_tests(differences, 10, np.random.default_rng(0))
    detectable = result.mde[0] / result.sd[0]
    assert TTestPower().power(detectable, 80, 0.05) == pytest.approx(0.8, abs=1e-6)
    g = np.random.default_rng(1)
    hits = [stats.ttest_1samp(g.normal(detectable, 1, 80), 0).pvalue < 0.05 for _ in range(2000)]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("effect", "name"), [(0.19, "negligible"), (-0.2, "small"), (0.5, "medium"), (-0.8, "large")])
def test_effect_sizes_have_cohens_names(effect, name):
    assert effect_size_name(effect) == name


def test_one_or_two_users_are_valid_input():
    for users in (1, 2):
        result = paired_tests(np.ones((users, 1)), 10, np.random.default_rng(0))
        assert 0 <= result.p_permutation[0] <= 1 and np.isfinite(result.p_wilcoxon).all()
    assert paired_tests(np.ones((1, 1)), 10, np.random.default_rng(0)).p_t[0] == 1


def test_the_power_of_many_users_is_finite():
    result = paired_tests(np.random.default_rng(0).normal(0.5, 1, (30_000, 1)), 10, np.random.default_rng(0))
    assert result.power[0] == 1 and 0 < result.mde[0] < 0.02
