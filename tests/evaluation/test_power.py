"""Users and trainings that a difference needs, against simulation, statsmodels and the limits of the formula."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from kitrec.core.mean_tests import users_and_trainings
from kitrec.evaluation.power import power_of, users_needed

REPEATS = 2000


def noticed(difference: float, users: int, trainings: int, v: tuple[float, float, float]) -> float:
    """The share of simulated experiments in which the difference is significant."""
    rng, (of_users, of_trainings, rest) = np.random.default_rng(1), np.sqrt(v)
    values = rng.normal(0, of_users, (1, users, REPEATS)) + rng.normal(0, of_trainings, (trainings, 1, REPEATS))
    values = values + rng.normal(0, rest, (trainings, users, REPEATS)) + difference
    return float((users_and_trainings(values).p < 0.05).mean())


@pytest.mark.parametrize(
    ("trainings", "v"),
    [(5, (0.10, 0.0004, 0.05)), (10, (0.10, 0.001, 0.02)), (4, (0.2, 0.0001, 0.1))],
)
def test_the_users_needed_notice_the_difference_in_80_percent_of_simulations(trainings, v):
    users = users_needed(0.06, trainings, v, alpha=0.05, power=0.8)
    assert users is not None and 50 < users < 2000
    assert noticed(0.06, users, trainings, v) == pytest.approx(0.8, abs=0.04)


def test_of_users_alone_it_is_the_paired_t_test():
    users = users_needed(0.05, None, (0.25, float("nan"), float("nan")), alpha=0.05, power=0.9)
    exact = TTestPower().solve_power(effect_size=0.05 / 0.5, alpha=0.05, power=0.9)
    assert users == int(np.ceil(exact))
    assert users_needed(0.05, None, (0.20, 0.01, 0.05), alpha=0.05, power=0.9) == users  # the rest is of users then


def test_more_users_cannot_make_up_for_too_few_trainings():
    v = (0.1, 0.002, 0.05)
    assert users_needed(0.03, 3, v, alpha=0.05, power=0.8) is None
    needed = [users_needed(0.03, trainings, v, alpha=0.05, power=0.8) for trainings in (30, 40, 80)]
    assert None not in needed and needed == sorted(needed, reverse=True)


def test_a_smaller_difference_alpha_or_error_needs_more_users():
    v = (0.1, 0.0005, 0.05)
    base = users_needed(0.05, 10, v, alpha=0.05, power=0.8)
    stricter = ((0.04, 0.05, 0.8), (0.05, 0.01, 0.8), (0.05, 0.05, 0.95))
    assert base and all((users_needed(x, 10, v, alpha=alpha, power=power) or 0) > base for x, alpha, power in stricter)


def test_without_any_variance_every_difference_is_certain():
    assert power_of(0.01, 10, 3, (0.0, 0.0, 0.0), 0.05) == 1 and users_needed(0.01, 3, (0.0, 0.0, 0.0), 0.05, 0.8) == 2
