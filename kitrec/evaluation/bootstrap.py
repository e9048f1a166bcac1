"""BCa intervals of means by resampled users (Efron 1987, JASA 82(397), sections 2 and 7), all columns at once.

    theta*_b = sum_u w_bu s_u / sum_u w_bu n_u              w_b: how often resample b drew user u
    z0 = Phi^-1(share of theta* below theta, ties by half)  a = sum_u l_u^3 / (6 (sum_u l_u^2)^1.5)
    l_u = mean of theta_(u) - theta_(u)                     theta_(u): without user u
    bounds: the theta* at Phi(z0 + (z0 -+ z) / (1 - a (z0 -+ z)))
Shapes: U users, K columns (a metric of a method, or the difference of two), B resamples."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

BLOCK = 250  # resamples whose weights are there at once


@dataclass(frozen=True)
class Users:
    """What is resampled: `sums` [U, K] of the values of each user's records, and `counts` [U] of the records."""

    sums: np.ndarray
    counts: np.ndarray

    def means(self) -> np.ndarray:
        """Means over all records [K]."""
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum())

    def without_each(self) -> np.ndarray:
        """Means without one user [U, K]; a single user has nobody beside it."""
        left = self.counts.sum() - self.counts
        return np.asarray((self.sums.sum(axis=0) - self.sums) / np.maximum(left, 1)[:, None])


def resampled_means(users: Users, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means of resampled users [B, K]."""
    count = len(users.counts)
    found = np.empty((resamples, users.sums.shape[1]))
    for start in range(0, resamples, BLOCK):
        drawn = rng.integers(0, count, (min(BLOCK, resamples - start), count))
        offsets = np.arange(len(drawn))[:, None] * count
        weights = np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)
        found[start : start + len(drawn)] = (weights @ users.sums) / (weights @ users.counts)[:, None]
    return found


def accelerations(without_each: np.ndarray) -> np.ndarray:
    """a [K] from the means without one user [U, K]."""
    lacking = without_each.mean(axis=0) - without_each
    spread = np.square(lacking).sum(axis=0) ** 1.5
    return np.where(spread > 0, (lacking**3).sum(axis=0) / np.where(spread > 0, 6 * spread, 1), 0.0)


def intervals(
    means: np.ndarray, resampled: np.ndarray, acceleration: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """BCa bounds [K]; where no resample differs from the mean, the mean itself."""
    below = ((resampled < means).mean(axis=0) + (resampled <= means).mean(axis=0)) / 2
    z0 = ndtri(np.clip(below, 1e-12, 1 - 1e-12))
    bounds = []
    for z in (ndtri((1 - level) / 2), ndtri((1 + level) / 2)):
        share = ndtr(z0 + (z0 + z) / (1 - acceleration * (z0 + z)))
        bounds.append(_quantiles(resampled, share))
    flat = np.ptp(resampled, axis=0) == 0
    low, high = (np.where(flat, means, bound) for bound in bounds)
    return low, high


def _quantiles(resampled: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The quantile of each column [K] at its own share, linear between neighbours."""
    ordered = np.sort(resampled, axis=0)
    place = shares * (len(ordered) - 1)
    low = np.floor(place).astype(int)
    high, columns = np.minimum(low + 1, len(ordered) - 1), np.arange(ordered.shape[1])
    return np.asarray(ordered[low, columns] + (place - low) * (ordered[high, columns] - ordered[low, columns]))
