"""Training samples: a target item of a user, and the newest items before it.

Every pass draws one target item of each user. A share of the samples shows no target item (`source_only`), as for users
who are new to the target domain. Shapes: n samples, L items of a history; histories are padded with 0 on the left."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.user_histories import history_interactions, to_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.titles.params import History

MOST_SAMPLES = 4096  # of an update


@dataclass(frozen=True)
class Samples:
    histories: np.ndarray  # [n, L] item numbers, oldest first
    items: np.ndarray  # [n] the item after them

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: slice | np.ndarray) -> "Samples":
        return Samples(self.histories[rows], self.items[rows])


def user_sequences(interactions: pl.DataFrame, vocabulary: Vocabulary) -> Sequences:
    """Return the Books and target items of every (user, target), the held-out item last."""
    users = user_targets(interactions)
    return to_sequences(history_interactions(interactions, users, "both"), users, vocabulary)


def draw_samples(sequences: Sequences, is_target: np.ndarray, p: History, rng: np.random.Generator) -> Samples:
    """Draw one target item per sequence, among those with something to be shown before them; some may have none."""
    users, target = sequences.users, is_target[sequences.items]
    source_only = rng.random(len(sequences)) < p.source_only
    shown = ~(target & source_only[users])
    before = _running(shown, sequences) - shown  # items shown before each position
    eligible = np.flatnonzero(target & (before > 0))
    if not len(eligible):
        return Samples(np.zeros((0, p.items), dtype=np.int64), eligible)
    order = eligible[np.lexsort((rng.random(len(eligible)), users[eligible]))]
    positions = order[np.unique(users[order], return_index=True)[1]]
    return Samples(_histories(sequences, shown, before, positions, p.items), sequences.items[positions])


def samples_among(
    sequences: Sequences, read: np.ndarray, is_target: np.ndarray, p: History, rng: np.random.Generator
) -> Samples:
    """Draw a sample of every user from the items `read` alone, as if the others had not been taken."""
    among = np.zeros(len(is_target), dtype=bool)
    among[read] = True
    kept = among[sequences.items]
    samples = draw_samples(
        sequences_from_rows(sequences.users[kept], sequences.items[kept], len(sequences)), is_target, p, rng
    )
    return samples[rng.permutation(len(samples))[:MOST_SAMPLES]]


@dataclass
class Passes:
    """The samples of an update by its number: passes over the users, each of which draws anew."""

    sequences: Sequences
    is_target: np.ndarray
    p: History
    batch_size: int
    seed: int
    purpose: tuple[str, ...]
    _drawn: dict[int, Samples] = field(default_factory=dict)  # of the newest pass

    def batch(self, number: int) -> Samples:
        """Return the samples of an update; a pass over the users ends with a batch that wraps around."""
        per_pass = max(-(-len(self.sequences) // self.batch_size), 1)
        drawn, part = divmod(number, per_pass)
        if drawn not in self._drawn:
            rng = generator(self.seed, *self.purpose, drawn)
            samples = draw_samples(self.sequences, self.is_target, self.p, rng)
            if not len(samples):
                raise InputError(
                    "no training user has a target item behind another item that is shown: take more users "
                    "(users.train), or set history.source_only to 0"
                )
            self._drawn = {drawn: samples[rng.permutation(len(samples))]}
        samples = self._drawn[drawn]
        return samples[np.arange(part * self.batch_size, (part + 1) * self.batch_size) % len(samples)]


def newest_histories(sequences: Sequences, count: int) -> np.ndarray:
    """Return the newest items of every sequence [n, L], padded on the left."""
    kept = sequences.newest(count)
    rows, columns = kept.users, np.arange(len(kept.items)) - np.repeat(kept.starts[1:], kept.lengths) + count
    histories = np.zeros((len(kept), count), dtype=np.int64)
    histories[rows, columns] = kept.items
    return histories


def item_shares(sequences: Sequences, is_target: np.ndarray) -> np.ndarray:
    """Return the share of each item among all target items of the users [N + 1], add-one-half smoothed; source: 0."""
    counts = np.bincount(sequences.items, minlength=len(is_target)) + 0.5
    counts[~is_target] = 0
    shares: np.ndarray = counts / counts.sum()
    return shares


def _running(flags: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Count the flags from the start of each sequence, the position itself included."""
    running = np.concatenate([[0], np.cumsum(flags)])
    return running[1:] - np.repeat(running[sequences.starts[:-1]], sequences.lengths)


def _histories(
    sequences: Sequences, shown: np.ndarray, before: np.ndarray, positions: np.ndarray, count: int
) -> np.ndarray:
    """Return the newest shown items before each position [n, count], padded on the left."""
    row_of_user = np.full(len(sequences), -1)
    row_of_user[sequences.users[positions]] = np.arange(len(positions))
    row = row_of_user[sequences.users]
    end, total = positions[row], before[positions][row]
    flat = np.arange(len(sequences.items))
    column = count - (total - before)  # `before` numbers the shown items of a sequence from 0
    kept = shown & (row >= 0) & (flat < end) & (column >= 0)
    histories = np.zeros((len(positions), count), dtype=np.int64)
    histories[row[kept], column[kept]] = sequences.items[kept]
    return histories
