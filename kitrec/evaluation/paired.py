"""Paired tests of differences between two methods on the same users, all columns at once.

    t = mean(d) / (sd(d) / sqrt(U))                Student, U - 1 degrees of freedom
    p_permutation: random signs of d               core/mean_tests.py; the p of every claim, since it asks for the mean
    W: Wilcoxon's signed ranks (scipy; zeros dropped, ties averaged, normal approximation), which asks whether the
       ranks of d are symmetric about zero: with many ties it can be sure of the opposite sign of the mean
    d = mean(d) / sd(d)                            Cohen's d of paired values
    mde = minimum detectable effect: the d that t detects with 80 % power, times sd(d)
Differences that are all zero have p = 1 and d = 0. Shapes: U users, K columns, P permutations."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.power import TTestPower

from kitrec.core.mean_tests import sign_flip_p_values

EFFECT_SIZES = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))
POWER, ALPHA = 0.8, 0.05


@dataclass(frozen=True)
class PairedTests:
    """Test results of K differences, each an array [K]."""

    users: int
    mean: np.ndarray
    sd: np.ndarray
    t: np.ndarray
    p_t: np.ndarray
    p_permutation: np.ndarray
    p_wilcoxon: np.ndarray
    effect: np.ndarray
    power: np.ndarray
    mde: np.ndarray


def paired_tests(differences: np.ndarray, permutations: int, rng: np.random.Generator) -> PairedTests:
    """Test columns of differences [U, K], one value per user."""
    users, differences = len(differences), differences.round(12)  # rounding errors of sums are no difference
    mean = differences.mean(axis=0)
    sd = differences.std(axis=0, ddof=1).round(12) if users > 1 else np.zeros(differences.shape[1])
    varies = sd > 0
    effect = np.where(varies, mean / np.where(varies, sd, 1), np.where(mean == 0, 0.0, np.copysign(np.inf, mean)))
    t = effect * np.sqrt(users)
    p_t = np.where((mean == 0) | (users < 2), 1.0, 2 * stats.t.sf(np.abs(t), max(users - 1, 1)))
    detectable = TTestPower().solve_power(nobs=users, alpha=ALPHA, power=POWER) if users > 2 else np.nan
    return PairedTests(
        users,
        mean,
        sd,
        t,
        p_t,
        sign_flip_p_values(differences, permutations, rng),
        _wilcoxon(differences),
        effect,
        _power(effect, users),
        detectable * sd,
    )


def effect_size_name(effect: float) -> str:
    """Return Cohen's name of an effect size."""
    return next((name for limit, name in EFFECT_SIZES if abs(effect) < limit), "large")


def _wilcoxon(differences: np.ndarray) -> np.ndarray:
    p = np.ones(differences.shape[1])
    nonzero = np.flatnonzero((differences != 0).any(axis=0))
    if len(nonzero):
        chosen = differences[:, nonzero]
        p[nonzero] = stats.wilcoxon(chosen, zero_method="wilcox", method="asymptotic", axis=0).pvalue
    return p


def _power(effect: np.ndarray, users: int) -> np.ndarray:
    """Return the power of t at the observed effect sizes."""
    if users < 3:
        return np.full(effect.shape, np.nan)
    certain = ~np.isfinite(effect) | (np.abs(effect) * np.sqrt(users) > 30)  # the noncentral t fails far out
    power = [1.0 if sure else TTestPower().power(abs(e), users, ALPHA) for e, sure in zip(effect, certain, strict=True)]
    return np.array(power)
