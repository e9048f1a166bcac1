"""Every place of the training sequences as a question of its own: what came before it, and what came there."""

from dataclasses import dataclass

import numpy as np

from kitrec.recommenders.data.sequences import Sequences


@dataclass(frozen=True)
class Places:
    """Places with a past: whose, and how many items came before."""

    users: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    def take(self, which: np.ndarray) -> "Places":
        return Places(self.users[which], self.seen[which])


def places_of(sequences: Sequences) -> Places:
    """All places after the first of each sequence, reader by reader."""
    counts = np.maximum(sequences.lengths - 1, 0)
    users = np.repeat(np.arange(len(sequences)), counts)
    return Places(users, np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts) + 1)


def before(sequences: Sequences, places: Places) -> Sequences:
    """What came before each place."""
    starts = np.concatenate([[0], np.cumsum(places.seen)]).astype(np.int64)
    where = np.repeat(sequences.starts[places.users] - starts[:-1], places.seen) + np.arange(starts[-1])
    return Sequences(sequences.items[where], starts)


def came(sequences: Sequences, places: Places) -> np.ndarray:
    """The item of each place."""
    return sequences.items[sequences.starts[places.users] + places.seen]
