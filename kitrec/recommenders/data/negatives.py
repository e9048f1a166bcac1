"""Uniform negative sampling for sampled losses: shared by a batch, or per target among items the user has not had."""

import numpy as np

from kitrec.recommenders.data.sequences import Sequences


def shared_negatives(rng: np.random.Generator, items: int, count: int) -> np.ndarray:
    """Sample [count] item numbers from 1 ... items for a whole batch."""
    return rng.integers(1, items + 1, size=count)


def negatives_per_target(
    rng: np.random.Generator, sequences: Sequences, users: np.ndarray, items: int, count: int
) -> np.ndarray:
    """Sample [len(users), count] item numbers outside the sequence of each target's user.

    Positives are resampled; a user who has every item keeps the first sample."""
    positives = np.unique(sequences.users * (items + 1) + sequences.items)
    has_every_item = np.bincount(positives // (items + 1), minlength=len(sequences)) >= items
    sampled = rng.integers(1, items + 1, size=(len(users), count))
    rejected = np.argwhere(~has_every_item[users][:, None] & _among(users[:, None] * (items + 1) + sampled, positives))
    while len(rejected):
        rows, columns = rejected.T
        resampled = rng.integers(1, items + 1, size=len(rejected))
        sampled[rows, columns] = resampled
        rejected = rejected[_among(users[rows] * (items + 1) + resampled, positives)]
    return sampled


def _among(keys: np.ndarray, sorted_keys: np.ndarray) -> np.ndarray:
    positions = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return sorted_keys[positions] == keys
