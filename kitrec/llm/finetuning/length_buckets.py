"""Batches of samples of similar length, drawn anew each epoch from a seed.

Each epoch is shuffled and cut into pools of many batches; a pool is sorted by length and cut into batches, and the
batches are shuffled. The batch with the longest sample goes first, so that a lack of memory shows at the first update.
The order belongs to (seed, epoch) alone: a resumed run, or one with smaller micro-batches, sees the same one."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from kitrec.core.randomness import generator

POOL = 50  # batches that are sorted together, as transformers' grouping does
MIN_POOLS = 4  # in a small data set, so that batches still differ from epoch to epoch


class LengthBuckets(Sampler[int]):
    """Sampler of an epoch's indices; `batch_size` indices in a row have similar lengths."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = np.asarray(lengths), batch_size, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Trainer does so before each one, also before the one it resumes in."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self._epoch).tolist())

    def order(self, epoch: int) -> np.ndarray:
        """Return all samples of an epoch; those that fill no batch come last."""
        rng = generator(self._seed, "batches", epoch)
        pool_size = self._batch_size * max(1, min(POOL, len(self) // (self._batch_size * MIN_POOLS)))
        shuffled = rng.permutation(len(self))
        pools = [shuffled[start : start + pool_size] for start in range(0, len(self), pool_size)]
        by_length = np.concatenate([pool[np.argsort(-self._lengths[pool], kind="stable")] for pool in pools])
        filled = len(self) // self._batch_size * self._batch_size
        batches = rng.permutation(by_length[:filled].reshape(-1, self._batch_size))
        if len(batches):
            longest = self._lengths[batches].max(axis=1).argmax()
            batches[[0, longest]] = batches[[longest, 0]]
        return np.concatenate([batches.ravel(), by_length[filled:]])

    def padding_share(self, epochs: int) -> float:
        """Return the share of padding among all positions computed in so many epochs."""
        computed = 0
        for epoch in range(epochs):
            lengths = self._lengths[self.order(epoch)]
            batches = np.split(lengths, range(self._batch_size, len(self), self._batch_size))
            computed += sum(len(batch) * batch.max() for batch in batches)
        return float(1 - epochs * self._lengths.sum() / computed)
