"""Tests of means: against values worked by hand, against scipy, and against their nominal rates in simulations."""

import numpy as np
import pytest
from scipy import stats

from kitrec.core.mean_tests import sign_flip_p_values, users_and_trainings, variances

REPEATS = 4000  # simulated experiments: 5 % of them within 3 standard errors are 4 to 6 %


def test_sign_flip_p_values_of_few_users_match_values_worked_by_hand():
    """d = (1, 2, 3): of the eight flips, two reach |6|, so p is 1/4; with (1, 1, 0) four of eight reach |2|."""
    differences = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 0.0]])
    assert sign_flip_p_values(differences, 40_000, np.random.default_rng(0)) == pytest.approx([0.25, 0.5], abs=0.01)


def test_the_permutation_test_agrees_with_scipys():
    column = np.random.default_rng(4).exponential(size=60) - 0.8
    expected = stats.permutation_test(
        (column, np.zeros_like(column)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=9999,
        rng=1,
    ).pvalue
    assert sign_flip_p_values(column[:, None], 9999, np.random.default_rng(2)) == pytest.approx([expected], abs=0.015)


def test_differences_that_few_flips_reach_have_the_p_of_the_limit():
    """Hits gained by 90 users and lost by 30: the exact p is the binomial's, which 1,000 flips cannot count."""
    differences = np.repeat([1.0, -1.0, 0.0], [90, 30, 500])[:, None]
    p = sign_flip_p_values(differences, 1000, np.random.default_rng(0))[0]
    assert p < 1 / 1001 and p == pytest.approx(stats.binomtest(90, 120).pvalue, rel=0.5)


def simulated(rng: np.random.Generator, sources: tuple[float, float, float], trainings: int = 5) -> np.ndarray:
    """Values [R, U, REPEATS] of one method: users, trainings and the rest have these standard deviations."""
    of_users, of_trainings, rest = sources
    users = 150
    noise = rng.normal(0, of_trainings, (trainings, 1, REPEATS)) + rng.normal(0, rest, (trainings, users, REPEATS))
    return rng.normal(0, of_users, (1, users, REPEATS)) + noise


@pytest.mark.parametrize("sources", [(0.0, 0.05, 0.4), (0.0, 0.1, 0.4), (0.6, 0.05, 0.4)])
@pytest.mark.parametrize("trainings", [3, 5])
def test_a_method_against_itself_is_significant_in_5_percent_of_experiments(sources, trainings):
    """A/A of trainings in pairs. Users alone would be sure of noise that every training has: the mean over users is not
    the mean over trainings."""
    differences = simulated(np.random.default_rng(trainings), sources, trainings)
    rate = (users_and_trainings(differences).p < 0.05).mean()
    of_one = differences[0]
    of_users_alone = (stats.ttest_1samp(of_one, 0).pvalue < 0.05).mean()
    assert 0.03 <= rate <= 0.062 and of_users_alone > 0.1


def test_two_methods_with_trainings_of_their_own_keep_the_rate_too():
    rng = np.random.default_rng(1)
    first, second = (simulated(rng, (0.0, 0.06, 0.4), trainings) for trainings in (5, 4))
    users = rng.normal(0, 0.5, (1, 150, REPEATS))  # shared by both: users differ, methods do not
    assert 0.035 <= (users_and_trainings(first + users, second + users).p < 0.05).mean() <= 0.062
    flips = np.random.default_rng(2)
    alone = sign_flip_p_values((first.mean(0) - second.mean(0))[:, :400], 400, flips)
    assert (alone < 0.05).mean() > 0.12


def test_trainings_that_do_not_differ_are_no_reason_to_be_surer():
    """Without variance between trainings the test stays below its nominal rate, since one source must be estimated."""
    differences = simulated(np.random.default_rng(3), (0.5, 0.0, 0.4))
    assert 0.03 <= (users_and_trainings(differences).p < 0.05).mean() <= 0.06


def test_a_real_difference_is_noticed_and_its_interval_holds_it():
    differences = simulated(np.random.default_rng(4), (0.4, 0.02, 0.3)) + 0.2
    result = users_and_trainings(differences)
    assert (result.p < 0.05).mean() > 0.95
    assert ((result.low < 0.2) & (result.high > 0.2)).mean() == pytest.approx(0.95, abs=0.02)


def test_the_test_equals_the_analysis_of_variance_worked_by_hand():
    """Two trainings, three users: y = ((1, 2, 6), (3, 2, 4)). Means of users 2, 2, 5; of trainings 3, 3."""
    values = np.array([[1.0, 2.0, 6.0], [3.0, 2.0, 4.0]])[:, :, None]
    result, parts = users_and_trainings(values), variances(values)
    assert result.difference[0] == 3 and parts.rest[0] == pytest.approx(2 * (1 + 0 + 1) / 2)
    error = np.sqrt(3.0 / 3)  # users: 3 / 3; trainings: 0 / 2; minus the rest would be less than the users alone
    df = 1 / ((1**2) / 2 + 0 + (2 / 6) ** 2 / 2)
    assert result.df[0] == pytest.approx(df) and result.p[0] == pytest.approx(2 * stats.t.sf(3 / error, df))
    assert parts.users[0] == pytest.approx(3 - 1) and parts.trainings[0] == 0


def test_variances_are_those_that_the_values_were_drawn_from():
    parts = variances(simulated(np.random.default_rng(6), (0.5, 0.2, 0.3)))
    assert [parts.users.mean(), parts.trainings.mean(), parts.rest.mean()] == pytest.approx(
        [0.25, 0.04, 0.09], rel=0.05
    )
    alone = variances(simulated(np.random.default_rng(6), (0.5, 0.2, 0.3), trainings=1))
    assert alone.users.mean() == pytest.approx(0.25 + 0.09, rel=0.05) and np.isnan(alone.trainings).all()


def test_equal_methods_have_no_claim_and_a_constant_difference_has_one():
    same = np.random.default_rng(7).random((3, 20, 1))
    assert users_and_trainings(same, same).p[0] == 1
    for result in (users_and_trainings(same - same), users_and_trainings(same - same + 1e-17)):
        assert result.p[0] == 1 and result.difference[0] == result.low[0] == result.high[0] == 0
    constant = users_and_trainings(np.full((3, 20, 1), 0.1))
    assert constant.p[0] == 0 and constant.low[0] == constant.high[0] == pytest.approx(0.1)
