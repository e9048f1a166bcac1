"""BCa intervals of means by resampled users (Efron 1987, JASA 82(397), sections 2 and 7), all columns at once.

    theta*_b = sum_u w_bu s_u / sum_u w_bu n_u              w_b: how often resample b drew user u
    z0 = Phi^-1(share of theta* below theta, ties by half)  a = sum_u l_u^3 / (6 (sum_u l_u^2)^1.5)
    l_u = mean of theta_(u) - theta_(u)                     theta_(u): without user u
    bounds: the theta* at Phi(z0 + (z0 -+ z) / (1 - a (z0 -+ z)))
Shapes: U users, K columns (a metric of a method, or the difference of two), B resamples."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from kitrec.core.randomness import generator

BLOCK = 250  # resamples whose weights are held at once


@dataclass(frozen=True)
class UserSums:
    """The units of resampling: per user the `sums` [U, K] of the values of all records, and their `counts` [U]."""

    sums: np.ndarray
    counts: np.ndarray

    def means(self) -> np.ndarray:
        """Return means over all records [K]."""
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum())

    def leave_one_out_means(self) -> np.ndarray:
        """Return means without each user [U, K]; without the only user they are zero."""
        remaining = self.counts.sum() - self.counts
        return np.asarray((self.sums.sum(axis=0) - self.sums) / np.maximum(remaining, 1)[:, None])


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn: every stratum by a stream of its own."""

    resamples: int
    seed: int

    def means_and_intervals(
        self, users: UserSums, stratum: str, member: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return means over a stratum's records with the bounds of their intervals, each [K]."""
        means = users.means()
        drawn = resampled_means(users, self.resamples, generator(self.seed, "bootstrap", stratum, member))
        low, high = intervals(means, drawn, accelerations(users.leave_one_out_means()))
        return means, np.minimum(low, means), np.maximum(high, means)


def user_sums(owners: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> UserSums:
    """Return the sums of values [R, K] by their user [R], and their counts; with weights [R] the sums are weighted and
    the weights are counted, so that means are weighted ones."""
    weights = np.ones(len(owners)) if weights is None else weights
    _, owner = np.unique(owners, return_inverse=True)
    counts = np.bincount(owner, weights=weights)
    if len(counts) == len(owner) and (weights == 1).all():
        return UserSums(values, np.ones(len(owner)))
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, owner, values * weights[:, None])
    return UserSums(sums, counts)


def resampled_means(users: UserSums, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return means of resampled users [B, K]."""
    count = len(users.counts)
    means = np.empty((resamples, users.sums.shape[1]))
    for start in range(0, resamples, BLOCK):
        drawn = rng.integers(0, count, (min(BLOCK, resamples - start), count))
        offsets = np.arange(len(drawn))[:, None] * count
        weights = np.bincount((drawn + offsets).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)
        means[start : start + len(drawn)] = (weights @ users.sums) / (weights @ users.counts)[:, None]
    return means


def accelerations(leave_one_out: np.ndarray) -> np.ndarray:
    """Return a [K] from the leave-one-out means [U, K]."""
    influence = leave_one_out.mean(axis=0) - leave_one_out
    spread = np.square(influence).sum(axis=0) ** 1.5
    return np.where(spread > 0, (influence**3).sum(axis=0) / np.where(spread > 0, 6 * spread, 1), 0.0)


def intervals(
    means: np.ndarray, resampled: np.ndarray, acceleration: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return BCa bounds [K]; both are the mean where all resamples are equal."""
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
    """Return the quantile of each column [K] at its own share, interpolated linearly."""
    ordered = np.sort(resampled, axis=0)
    position = shares * (len(ordered) - 1)
    low = np.floor(position).astype(int)
    high, columns = np.minimum(low + 1, len(ordered) - 1), np.arange(ordered.shape[1])
    return np.asarray(ordered[low, columns] + (position - low) * (ordered[high, columns] - ordered[low, columns]))
