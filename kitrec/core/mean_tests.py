"""Two-sided tests of mean differences against zero, all columns at once: random users, or random users and trainings.

Users alone are random: under the null hypothesis the difference d_u of each user has either sign (Good 2005,
Permutation, Parametric and Bootstrap Tests of Hypotheses, 3rd ed., section 3.2).
    p = (1 + #{|sum_u e_u d_u| >= |sum_u d_u|}) / (1 + P)      P random draws of the signs e
    p = 2 Phi(-|sum_u d_u| / sqrt(sum_u d_u^2))                where fewer than TAIL draws reach it: the same
        distribution's limit for many users, since (1 + 0) / (1 + P) says how many were drawn and not how rare it is

Users and trainings are random and crossed: y_ru of training r and user u (Clark 1973, J. Verbal Learning and Verbal
Behavior 12, quasi-F; the design of Obuchowski & Rockette 1995, Commun. Stat. 24). With s2_users of the users' means
over trainings, s2_trainings of the trainings' means over users, s2_rest of what remains of y_ru:
    V = s2_users / U + s2_trainings / R - s2_rest / (R U)      each of the first two holds the rest once
    t = mean / sqrt(V);  df = V^2 / sum_i (term_i^2 / df_i)    Satterthwaite 1946, Biometrics Bulletin 2
V is at least either of its first two terms. Of two methods with trainings of their own, s2_trainings / R and
s2_rest / (R U) are sums over both; of trainings in pairs, y is their difference.
Shapes: R trainings, U users, K columns, P permutations."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.special import ndtr

BLOCK = 250  # permutations held at once
TAIL = 10  # permutations beyond the difference below which a count says little
LEVEL = 0.95
PERMUTATION_TEST = "paired permutation test (random sign flips by user)"
CROSSED_TEST = "t over users and trainings (crossed, Satterthwaite)"
ONE_TRAINING = "One training of each method: the variance between trainings is in no interval and no p."


@dataclass(frozen=True)
class MeanTest:
    """Results of K differences, each an array [K]; bounds are of the 95 % interval."""

    difference: np.ndarray
    p: np.ndarray
    low: np.ndarray
    high: np.ndarray
    df: np.ndarray


@dataclass(frozen=True)
class Variances:
    """Variance of a single value by its source, each [K]; of one training `trainings` and `rest` are NaN, and `users`
    holds the rest too."""

    users: np.ndarray
    trainings: np.ndarray
    rest: np.ndarray


def sign_flip_p_values(differences: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Return p [K] of differences [U, K] by random sign flips, the same for all columns."""
    users = len(differences)
    sums, slack = np.abs(differences.sum(axis=0)), 1e-12 * np.abs(differences).sum(axis=0)
    beyond = np.zeros(differences.shape[1])
    for start in range(0, permutations, BLOCK):
        rows = min(BLOCK, permutations - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-users // 8)), dtype=np.uint8), axis=1)[:, :users]
        flipped = np.abs((bits.astype(float) * 2 - 1) @ differences)
        beyond += (flipped >= sums - slack).sum(axis=0)
    norm = np.sqrt(np.square(differences).sum(axis=0))
    limit = 2 * ndtr(-sums / np.where(norm > 0, norm, 1))
    return np.asarray(np.where(beyond < TAIL, limit, (1 + beyond) / (1 + permutations)))


def users_alone(differences: np.ndarray, permutations: int, rng: np.random.Generator) -> MeanTest:
    """Test the mean of differences [U, K] by random sign flips; the interval is Student's."""
    differences, users = differences.round(12), len(differences)
    variance = differences.var(axis=0, ddof=1) / users if users > 1 else np.zeros(differences.shape[1])
    by_t = _t_test(differences.mean(axis=0), variance, np.full(variance.shape, max(users - 1.0, 1.0)))
    return replace(by_t, p=sign_flip_p_values(differences, permutations, rng))


def users_and_trainings(first: np.ndarray, second: np.ndarray | None = None) -> MeanTest:
    """Test the mean of `first` [R, U, K] (of trainings in pairs: their differences), or its difference from `second`,
    with trainings of its own but the same users."""
    groups = [group.round(12) for group in (first, second) if group is not None]
    by_user = groups[0].mean(axis=0) - (groups[1].mean(axis=0) if len(groups) > 1 else 0)
    of_users, users = by_user.var(axis=0, ddof=1) / len(by_user), len(by_user)
    terms, dfs, rests = [of_users], [users - 1], []
    for group in groups:
        trainings = len(group)
        terms.append(group.mean(axis=1).var(axis=0, ddof=1) / trainings)
        rests.append(_rest(group) / (trainings * users))
        dfs.append(trainings - 1)
    of_trainings, rest = sum(terms[1:]), sum(rests)
    variance = np.maximum(of_users + of_trainings - rest, np.maximum(of_users, of_trainings))
    squares = sum(term**2 / df for term, df in zip(terms, dfs, strict=True))
    squares += sum(rest**2 / (df * (users - 1)) for rest, df in zip(rests, dfs[1:], strict=True))
    return _t_test(by_user.mean(axis=0), variance, variance**2 / np.where(squares > 0, squares, 1))


def variances(values: np.ndarray) -> Variances:
    """Return the variance components of values [R, U, K], by the mean squares that hold them."""
    trainings, users = values.shape[:2]
    of_users = values.mean(axis=0).var(axis=0, ddof=1)
    if trainings == 1:
        unknown = np.full(of_users.shape, np.nan)
        return Variances(of_users, unknown, unknown)
    rest, of_trainings = _rest(values), values.mean(axis=1).var(axis=0, ddof=1)
    return Variances(np.maximum(of_users - rest / trainings, 0.0), np.maximum(of_trainings - rest / users, 0.0), rest)


def _rest(values: np.ndarray) -> np.ndarray:
    """Return the variance [K] of what neither users nor trainings explain."""
    trainings, users = values.shape[:2]
    explained = values.mean(axis=1)[:, None] + values.mean(axis=0)[None] - values.mean(axis=(0, 1))
    return np.asarray(np.square(values - explained).sum(axis=(0, 1)) / ((trainings - 1) * (users - 1)))


def _t_test(mean: np.ndarray, variance: np.ndarray, df: np.ndarray) -> MeanTest:
    """Return the test of means with their variances; without any variance p is 1 of zero and 0 of any other mean."""
    mean, varies = mean.round(12), variance > 0
    error, df = np.sqrt(variance), np.where(varies, df, np.inf)
    p = np.where(varies, 2 * stats.t.sf(np.abs(mean) / np.where(varies, error, 1), df), (mean == 0).astype(float))
    margin = error * stats.t.ppf((1 + LEVEL) / 2, df)
    return MeanTest(mean, p, mean - margin, mean + margin, df)
