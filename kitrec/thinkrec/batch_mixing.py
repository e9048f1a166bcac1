"""Which samples a batch holds: reasoning and recommendation samples in a fixed ratio, each kind shuffled per epoch.

Slot k of the endless stream is a reasoning sample where floor((k + 1) q) > floor(k q), q being the ratio: every batch
is as close to it as whole numbers allow. Update n is found without those before it, so a resumed run goes on alike."""

import math

import numpy as np

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator


class Mixture:
    """batch(update) -> sample numbers, for samples of which `reasoning` says the mode."""

    def __init__(self, reasoning: np.ndarray, share: float, batch: int, seed: int) -> None:
        if not len(reasoning):
            raise InputError("there is no sample to learn from: check the records")
        self._kinds = {True: np.flatnonzero(reasoning), False: np.flatnonzero(~reasoning)}
        empty = [kind for kind, own in self._kinds.items() if not len(own)]
        self._share = share if not empty else float(not empty[0])  # one kind alone fills all batches
        self._batch, self._seed = batch, seed
        self._newest = {kind: (-1, np.empty(0, dtype=np.int64)) for kind in (True, False)}

    def batch(self, update: int) -> np.ndarray:
        """The samples of an update, counted from 0."""
        return np.array([self._sample(slot) for slot in range(update * self._batch, (update + 1) * self._batch)])

    def _sample(self, slot: int) -> int:
        before = math.floor(slot * self._share + 1e-9)
        reasoning = math.floor((slot + 1) * self._share + 1e-9) > before
        own, place = self._kinds[reasoning], before if reasoning else slot - before
        epoch, place = divmod(place, len(own))
        return int(own[self._order(reasoning, epoch)[place]])

    def _order(self, reasoning: bool, epoch: int) -> np.ndarray:
        """How a kind's samples are shuffled in an epoch; the newest order of each kind is kept."""
        if self._newest[reasoning][0] != epoch:
            rng = generator(self._seed, "thinkrec samples", int(reasoning), epoch)
            self._newest[reasoning] = epoch, rng.permutation(len(self._kinds[reasoning]))
        return self._newest[reasoning][1]
