"""Every user's items in time order, as one array and where each user begins.

items   [sum of lengths]  item numbers 1 ... N (0 is padding, N+1 the mask of BERT4Rec)
starts  [users + 1]       user u owns items[starts[u] : starts[u + 1]], oldest first"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sequences:
    items: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, user: int) -> np.ndarray:
        return self.items[self.starts[user] : self.starts[user + 1]]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    @property
    def users(self) -> np.ndarray:
        """Whose each item is, [sum of lengths]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, users: np.ndarray) -> "Sequences":
        """The sequences of some users, in the order given."""
        lengths = self.lengths[users]
        starts = _starts(lengths)
        where = np.repeat(self.starts[users] - starts[:-1], lengths) + np.arange(starts[-1])
        return Sequences(self.items[where], starts)

    def without_last(self, count: int = 1) -> "Sequences":
        """Each sequence without its last items; a shorter one becomes empty."""
        return self._kept(np.zeros(len(self), dtype=np.int64), np.maximum(self.lengths - count, 0))

    def newest(self, count: int) -> "Sequences":
        """At most the newest `count` items of each."""
        kept = np.minimum(self.lengths, count)
        return self._kept(self.lengths - kept, kept)

    def last(self) -> np.ndarray:
        """Each one's last item; 0 where there is none."""
        padded = np.concatenate([[0], self.items])
        return np.where(self.lengths > 0, padded[self.starts[1:]], 0)

    def extended(self, item: int) -> "Sequences":
        """Each sequence with one more item at its end."""
        return Sequences(np.insert(self.items, self.starts[1:], item), self.starts + np.arange(len(self) + 1))

    def _kept(self, skipped: np.ndarray, kept: np.ndarray) -> "Sequences":
        starts = _starts(kept)
        where = np.repeat(self.starts[:-1] + skipped - starts[:-1], kept) + np.arange(starts[-1])
        return Sequences(self.items[where], starts)


@dataclass(frozen=True)
class LeaveOneOut:
    """The last item of each user is the test, the one before it the validation, what is left trains."""

    train: Sequences
    before_validation: Sequences
    validation: np.ndarray
    before_test: Sequences
    test: np.ndarray
    judged: Sequences  # the same users with all their items


def of_lists(lists: Iterable[Iterable[int]]) -> Sequences:
    """From one list of item numbers a user."""
    parts = [np.asarray(list(own), dtype=np.int64) for own in lists]
    return Sequences(np.concatenate([np.empty(0, np.int64), *parts]), _starts(np.array([len(p) for p in parts])))


def of_rows(users: np.ndarray, items: np.ndarray, count: int) -> Sequences:
    """From rows sorted by user and time; users are numbered 0 ... count-1, one without rows has an empty sequence."""
    if len(users) and (np.diff(users) < 0).any():
        raise ValueError("rows must be sorted by user and time")
    return Sequences(items.astype(np.int64), _starts(np.bincount(users, minlength=count)))


def leave_one_out(sequences: Sequences, fewest: int = 3) -> LeaveOneOut:
    """Users with fewer than `fewest` items only train; the others give one test and one validation item."""
    judged = np.flatnonzero(sequences.lengths >= fewest)
    unjudged = np.flatnonzero(sequences.lengths < fewest)
    own = sequences.take(judged)
    shorter, shortest = own.without_last(1), own.without_last(2)
    train = joined(shortest, sequences.take(unjudged))
    return LeaveOneOut(train, shortest, shorter.last(), shorter, own.last(), own)


def joined(one: Sequences, other: Sequences) -> Sequences:
    """The users of both, one after the other."""
    return Sequences(
        np.concatenate([one.items, other.items]), np.concatenate([one.starts, other.starts[1:] + one.starts[-1]])
    )


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
