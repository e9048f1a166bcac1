"""Paired tests of differences between two methods on the same users, all columns at once.

    t = mean(d) / (sd(d) / sqrt(U))                Student, U - 1 degrees of freedom
    W: Wilcoxon's signed ranks (scipy; zeros dropped, ties averaged, normal approximation)
    p = (1 + #{|sum_u e_u d_u| >= |sum_u d_u|}) / (1 + P)   P random permutations of signs e
    d = mean(d) / sd(d)                            Cohen's d of paired values
    mde = minimum detectable effect: the d that t detects with 80 % power, times sd(d)
Differences that are all zero have p = 1 and d = 0. Shapes: U users, K columns, P permutations."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from statsmodels.stats.power import TTestPower

EFFECT_SIZES = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))
POWER, ALPHA = 0.8, 0.05
BLOCK = 250  # permutations held at once
SHAPIRO_LIMIT = 5000  # users beyond which scipy warns that Shapiro's p is inaccurate


@dataclass(frozen=True)
class PairedTests:
    """Test results of K differences, each an array [K]."""

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
        _wilcoxon(differences),
        permutation_p_values(differences, permutations, rng),
        _normal(differences, varies, rng),
        effect,
        _power(effect, users),
        detectable * sd,
    )


def effect_size_name(effect: float) -> str:
    """Return Cohen's name of an effect size."""
    return next((name for limit, name in EFFECT_SIZES if abs(effect) < limit), "large")


def permutation_p_values(differences: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Return p [K] by random sign flips, the same for all columns."""
    users = len(differences)
    sums, slack = np.abs(differences.sum(axis=0)), 1e-12 * np.abs(differences).sum(axis=0)
    beyond = np.zeros(differences.shape[1])
    for start in range(0, permutations, BLOCK):
        rows = min(BLOCK, permutations - start)
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-users // 8)), dtype=np.uint8), axis=1)[:, :users]
        flipped = np.abs((bits.astype(float) * 2 - 1) @ differences)
        beyond += (flipped >= sums - slack).sum(axis=0)
    return np.asarray((1 + beyond) / (1 + permutations))


def _wilcoxon(differences: np.ndarray) -> np.ndarray:
    p = np.ones(differences.shape[1])
    nonzero = np.flatnonzero((differences != 0).any(axis=0))
    if len(nonzero):
        chosen = differences[:, nonzero]
        p[nonzero] = stats.wilcoxon(chosen, zero_method="wilcox", method="asymptotic", axis=0).pvalue
    return p


def _normal(differences: np.ndarray, varies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where Shapiro-Wilk does not reject normality, on at most SHAPIRO_LIMIT users."""
    users = len(differences)
    if users < 3:
        return np.zeros(differences.shape[1], dtype=bool)
    chosen = rng.choice(users, SHAPIRO_LIMIT, replace=False) if users > SHAPIRO_LIMIT else np.arange(users)
    columns = (differences[chosen, k] for k in range(differences.shape[1]))
    tested = [np.ptp(column) > 0 and bool(stats.shapiro(column).pvalue > ALPHA) for column in columns]
    return varies & np.array(tested, dtype=bool)


def _power(effect: np.ndarray, users: int) -> np.ndarray:
    """Return the power of t at the observed effect sizes."""
    if users < 3:
        return np.full(effect.shape, np.nan)
    certain = ~np.isfinite(effect) | (np.abs(effect) * np.sqrt(users) > 30)  # the noncentral t fails far out
    power = [1.0 if sure else TTestPower().power(abs(e), users, ALPHA) for e, sure in zip(effect, certain, strict=True)]
    return np.array(power)
