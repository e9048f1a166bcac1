"""Paired tests of differences between two methods on the same users, all columns at once.

    t = mean(d) / (sd(d) / sqrt(U))                Student, U - 1 degrees of freedom
    W: Wilcoxon's signed ranks (scipy; zeros dropped, ties averaged, normal approximation)
    p = (1 + #{|sum_u e_u d_u| >= |sum_u d_u|}) / (1 + P)   P random sign flips e
    d = mean(d) / sd(d)                            Cohen's d of paired values
    mde = d at which t finds a difference with 80 % probability, times sd(d)
Differences that are all zero have p = 1 and d = 0. Shapes: U users, K columns, P sign flips."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.power import TTestPower

SIZES = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))
POWER, ALPHA = 0.8, 0.05
BLOCK = 250  # sign flips that are there at once
SHAPIRO_LIMIT = 5000  # scipy warns of Shapiro's p beyond


@dataclass(frozen=True)
class Paired:
    """Everything about K differences, each an array [K]."""

    users: int
    mean: np.ndarray
    sd: np.ndarray
    t: np.ndarray
    p_t: np.ndarray
    p_wilcoxon: np.ndarray
    p_permutation: np.ndarray
    normal: np.ndarray
    effect: np.ndarray
    power: np.ndarray
    mde: np.ndarray


def compare(differences: np.ndarray, flips: int, rng: np.random.Generator) -> Paired:
    """Test columns of differences [U, K], one value per user."""
    users, differences = len(differences), differences.round(12)  # what sums of floats leave over is no difference
    mean = differences.mean(axis=0)
    sd = differences.std(axis=0, ddof=1).round(12) if users > 1 else np.zeros(differences.shape[1])
    moves = sd > 0
    effect = np.where(moves, mean / np.where(moves, sd, 1), np.where(mean == 0, 0.0, np.copysign(np.inf, mean)))
    t = effect * np.sqrt(users)
    p_t = np.where((mean == 0) | (users < 2), 1.0, 2 * stats.t.sf(np.abs(t), max(users - 1, 1)))
    least = TTestPower().solve_power(nobs=users, alpha=ALPHA, power=POWER) if users > 2 else np.nan
    return Paired(
        users,
        mean,
        sd,
        t,
        p_t,
        _wilcoxon(differences),
        permutation(differences, flips, rng),
        _normal(differences, moves, rng),
        effect,
        _power(effect, users),
        least * sd,
    )


def size(effect: float) -> str:
    """The name of an effect."""
    return next((name for limit, name in SIZES if abs(effect) < limit), "large")


def permutation(differences: np.ndarray, flips: int, rng: np.random.Generator) -> np.ndarray:
    """p [K] by random sign flips, the same for all columns."""
    users = len(differences)
    sums, slack = np.abs(differences.sum(axis=0)), 1e-12 * np.abs(differences).sum(axis=0)
    beyond = np.zeros(differences.shape[1])
    for start in range(0, flips, BLOCK):
        rows = min(BLOCK, flips - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-users // 8)), dtype=np.uint8), axis=1)[:, :users]
        flipped = np.abs((bits.astype(float) * 2 - 1) @ differences)
        beyond += (flipped >= sums - slack).sum(axis=0)
    return np.asarray((1 + beyond) / (1 + flips))


def _wilcoxon(differences: np.ndarray) -> np.ndarray:
    found = np.ones(differences.shape[1])
    moving = np.flatnonzero((differences != 0).any(axis=0))
    if len(moving):
        chosen = differences[:, moving]
        found[moving] = stats.wilcoxon(chosen, zero_method="wilcox", method="asymptotic", axis=0).pvalue
    return found


def _normal(differences: np.ndarray, moves: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether Shapiro and Wilk find nothing against normal differences, on at most SHAPIRO_LIMIT users."""
    users = len(differences)
    if users < 3:
        return np.zeros(differences.shape[1], dtype=bool)
    chosen = rng.choice(users, SHAPIRO_LIMIT, replace=False) if users > SHAPIRO_LIMIT else np.arange(users)
    columns = (differences[chosen, k] for k in range(differences.shape[1]))
    tested = [np.ptp(own) > 0 and bool(stats.shapiro(own).pvalue > ALPHA) for own in columns]
    return moves & np.array(tested, dtype=bool)


def _power(effect: np.ndarray, users: int) -> np.ndarray:
    """The probability that t finds an effect of the size that was seen."""
    if users < 3:
        return np.full(effect.shape, np.nan)
    certain = ~np.isfinite(effect) | (np.abs(effect) * np.sqrt(users) > 30)  # the noncentral t fails far out
    found = [1.0 if sure else TTestPower().power(abs(e), users, ALPHA) for e, sure in zip(effect, certain, strict=True)]
    return np.array(found)
