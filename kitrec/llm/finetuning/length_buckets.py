"""The order in which samples are learned: batches of like length, drawn anew each epoch from a seed.

Each epoch is shuffled and cut into pools of many batches; a pool is sorted by length and cut into batches, and the
batches are shuffled. The batch with the longest sample goes first, so that a lack of memory shows at the first update.
The order belongs to (seed, epoch) alone: a resumed run, or one with smaller micro-batches, sees the same one."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from kitrec.core.randomness import generator

POOL = 50  # batches that are sorted together, as transformers' grouping does
FEWEST_POOLS = 4  # in a small data set, so that batches still differ from epoch to epoch


class LengthBuckets(Sampler[int]):
    """Indices of samples in the order of an epoch; `batch` in a row have like lengths."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed = np.asarray(lengths), batch, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Trainer calls it before each epoch, also before the one it resumes in."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self._epoch).tolist())

    def order(self, epoch: int) -> np.ndarray:
        """All samples of an epoch; what does not fill a batch comes last."""
        rng = generator(self._seed, "batches", epoch)
        size = self._batch * max(1, min(POOL, len(self) // (self._batch * FEWEST_POOLS)))
        shuffled = rng.permutation(len(self))
        pools = [shuffled[start : start + size] for start in range(0, len(self), size)]
        by_length = np.concatenate([pool[np.argsort(-self._lengths[pool], kind="stable")] for pool in pools])
        whole = len(self) // self._batch * self._batch
        batches = rng.permutation(by_length[:whole].reshape(-1, self._batch))
        if len(batches):
            longest = self._lengths[batches].max(axis=1).argmax()
            batches[[0, longest]] = batches[[longest, 0]]
        return np.concatenate([batches.ravel(), by_length[whole:]])

    def padding_share(self, epochs: int) -> float:
        """The share of padding among all positions computed in some epochs."""
        computed = 0
        for epoch in range(epochs):
            lengths = self._lengths[self.order(epoch)]
            computed += sum(
                len(part) * part.max() for part in np.split(lengths, range(self._batch, len(self), self._batch))
            )
        return float(1 - epochs * self._lengths.sum() / computed)
