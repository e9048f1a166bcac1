"""How many test users and trainings a difference needs, from measured variances (core/mean_tests.py, `variances`).

    V(U, R) = users / U + trainings / R + rest / (U R)
    power   = P(|t'| > t_{1 - alpha/2, df}),  t' noncentral with df and x / sqrt(V)      two-sided, difference x
    df      = V^2 / [((users + rest/R) / U)^2 / (U - 1) + ((trainings + rest/U) / R)^2 / (R - 1)]
Two crossed sources: Westfall, Kenny & Judd 2014, J. Experimental Psychology: General 143(5). More users cannot make up
for too few trainings: V stays above trainings / R. Of one training as it is V = (users + rest) / U and df = U - 1."""

import math

from scipy import stats

from kitrec.core.mean_tests import Variances

MOST_USERS = 10_000_000
CERTAIN = 30.0  # standard errors beyond which the noncentral t fails and the power is 1


def power_of(
    difference: float, users: int, trainings: int | None, v: tuple[float, float, float], alpha: float
) -> float:
    """Return the power at a difference; `v` are the variances of users, trainings and the rest; `trainings` None: one
    training as it is."""
    of_users, of_trainings, rest = v
    if trainings is None:
        variance, df = (of_users + (0.0 if math.isnan(rest) else rest)) / users, users - 1.0
    else:
        by_user, by_training = (of_users + rest / trainings) / users, (of_trainings + rest / users) / trainings
        variance = of_users / users + of_trainings / trainings + rest / (users * trainings)
        squares = by_user**2 / (users - 1) + by_training**2 / (trainings - 1)
        df = variance**2 / squares if squares else math.inf
    shift = abs(difference) / math.sqrt(variance) if variance else math.inf
    if shift > CERTAIN:
        return 1.0
    limit = float(stats.t.ppf(1 - alpha / 2, df))
    if math.isinf(df):
        return float(stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift))
    return float(stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift))


def users_needed(
    difference: float, trainings: int | None, v: tuple[float, float, float], alpha: float, power: float
) -> int | None:
    """Return the smallest number of users with the power; None where no number has it."""
    high = 2
    while power_of(difference, high, trainings, v, alpha) < power:
        high *= 2
        if high > MOST_USERS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of(difference, middle, trainings, v, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def of_column(v: Variances, column: int) -> tuple[float, float, float]:
    """Return the variances of one column as numbers."""
    return float(v.users[column]), float(v.trainings[column]), float(v.rest[column])
