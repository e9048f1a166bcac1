"""Items drawn uniformly, the other side of a sampled loss: any for a batch, or untouched ones for each target."""

import numpy as np

from kitrec.recommenders.data.sequences import Sequences


def shared_negatives(rng: np.random.Generator, items: int, count: int) -> np.ndarray:
    """[count] item numbers from 1 ... items, for a whole batch."""
    return rng.integers(1, items + 1, size=count)


def own_negatives(
    rng: np.random.Generator, sequences: Sequences, users: np.ndarray, items: int, count: int
) -> np.ndarray:
    """[len(users), count] item numbers that stand nowhere in the sequence of each target's user.

    Drawn again where they do; a user who knows every item keeps what was drawn."""
    known = np.unique(sequences.users * (items + 1) + sequences.items)
    insatiable = np.bincount(known // (items + 1), minlength=len(sequences)) >= items
    drawn = rng.integers(1, items + 1, size=(len(users), count))
    waiting = np.argwhere(~insatiable[users][:, None] & _among(users[:, None] * (items + 1) + drawn, known))
    while len(waiting):
        rows, columns = waiting.T
        fresh = rng.integers(1, items + 1, size=len(waiting))
        drawn[rows, columns] = fresh
        waiting = waiting[_among(users[rows] * (items + 1) + fresh, known)]
    return drawn


def _among(keys: np.ndarray, sorted_keys: np.ndarray) -> np.ndarray:
    where = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return sorted_keys[where] == keys
