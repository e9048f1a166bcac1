"""Every user's items in time order, as one array and the position at which each user starts.

items   [sum of lengths]  item numbers 1 ... N (0 is padding, N+1 the mask of BERT4Rec)
starts  [users + 1]       items[starts[u] : starts[u + 1]] belong to user u, oldest first"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse


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
        """The user of each item, [sum of lengths]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, users: np.ndarray) -> "Sequences":
        """Return the sequences of the given users, in the given order."""
        lengths = self.lengths[users]
        starts = _starts(lengths)
        positions = np.repeat(self.starts[users] - starts[:-1], lengths) + np.arange(starts[-1])
        return Sequences(self.items[positions], starts)

    def without_last(self, count: int = 1) -> "Sequences":
        """Drop the last items of each sequence; a shorter one becomes empty."""
        return self._slices(np.zeros(len(self), dtype=np.int64), np.maximum(self.lengths - count, 0))

    def newest(self, count: int) -> "Sequences":
        """Keep at most the newest `count` items of each sequence."""
        kept = np.minimum(self.lengths, count)
        return self._slices(self.lengths - kept, kept)

    def last(self) -> np.ndarray:
        """Return the last item of each sequence, 0 for an empty one."""
        padded = np.concatenate([[0], self.items])
        return np.where(self.lengths > 0, padded[self.starts[1:]], 0)

    def extended(self, item: int) -> "Sequences":
        """Append one item to every sequence."""
        return Sequences(np.insert(self.items, self.starts[1:], item), self.starts + np.arange(len(self) + 1))

    def _slices(self, skipped: np.ndarray, kept: np.ndarray) -> "Sequences":
        starts = _starts(kept)
        positions = np.repeat(self.starts[:-1] + skipped - starts[:-1], kept) + np.arange(starts[-1])
        return Sequences(self.items[positions], starts)


@dataclass(frozen=True)
class LeaveOneOut:
    """Each user's last item is the test item, the one before it the validation item, the others are for training."""

    train: Sequences
    before_validation: Sequences
    validation: np.ndarray
    before_test: Sequences
    test: np.ndarray
    complete: Sequences  # all items of the users that have a test item


def sequences_from_lists(lists: Iterable[Iterable[int]]) -> Sequences:
    """Build sequences from one list of item numbers per user."""
    parts = [np.asarray(list(items), dtype=np.int64) for items in lists]
    return Sequences(np.concatenate([np.empty(0, np.int64), *parts]), _starts(np.array([len(p) for p in parts])))


def sequences_from_rows(users: np.ndarray, items: np.ndarray, count: int) -> Sequences:
    """Build sequences from rows sorted by user and time; users are 0 ... count-1, those without rows are empty."""
    if len(users) and (np.diff(users) < 0).any():
        raise ValueError("rows must be sorted by user and time")
    return Sequences(items.astype(np.int64), _starts(np.bincount(users, minlength=count)))


def leave_one_out(sequences: Sequences, min_length: int = 3) -> LeaveOneOut:
    """Split off one test and one validation item per user; users with fewer than `min_length` items only train."""
    evaluated = np.flatnonzero(sequences.lengths >= min_length)
    train_only = np.flatnonzero(sequences.lengths < min_length)
    complete = sequences.take(evaluated)
    before_test, before_validation = complete.without_last(1), complete.without_last(2)
    train = concatenate(before_validation, sequences.take(train_only))
    return LeaveOneOut(train, before_validation, before_test.last(), before_test, complete.last(), complete)


def concatenate(first: Sequences, second: Sequences) -> Sequences:
    """Return the users of `first`, then those of `second`."""
    return Sequences(
        np.concatenate([first.items, second.items]),
        np.concatenate([first.starts, second.starts[1:] + first.starts[-1]]),
    )


def interaction_matrix(sequences: Sequences, items: int) -> sparse.csr_matrix:
    """Return the binary user-item matrix [users, N + 1]: 1 where a user has an item, however often."""
    ones = np.ones(len(sequences.items), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, (sequences.users, sequences.items)), shape=(len(sequences), items + 1))
    matrix.data[:] = 1.0
    return matrix


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
