"""Batches of positive pairs: every positive of every user once per epoch, source beside target.

Row r of a user holds the user's r-th positive of each side in a random order. The shorter side is repeated; a repeated
positive only accompanies the other side's (it is not counted in the loss, and not hidden from the history). Items a
user rated low are neither positives nor negatives: they stay in the history. All negatives of an epoch are sampled at
once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories, cross_domain_batch
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.models.interface import PairBatch


@dataclass(frozen=True)
class PairEpoch:
    rows: np.ndarray  # [m] the user of each row
    positions: np.ndarray  # [m, 2] of each side's positive in histories.items; -1: the user has none
    counted: np.ndarray  # [m, 2]
    items: np.ndarray  # [m, 2, 1 + k]
    shift: np.ndarray  # [m]


def sample_epoch(
    users: UserHistories, item_domains: ItemDomains, sampler: NegativeSampler, negatives: int, rng: np.random.Generator
) -> PairEpoch:
    """Return the rows of an epoch in a random order."""
    rows, positions, counted = _paired(users, item_domains, rng)
    order = rng.permutation(len(rows))
    rows, positions, counted = rows[order], positions[order], counted[order]
    positives = np.where(positions >= 0, np.append(users.histories.items, 0)[positions], 0)
    sampled = [sampler.sample(rng, rows, positives[:, side], negatives) for side in (0, 1)]
    items = np.concatenate([positives[:, :, None], np.stack(sampled, axis=1)], axis=2)
    return PairEpoch(rows, positions, counted, items, rng.integers(negatives + 1, size=len(rows)))


def pair_batches(
    users: UserHistories, item_domains: ItemDomains, epoch: PairEpoch, batch_size: int, device: torch.device
) -> Iterator[PairBatch]:
    """Yield the batches of an epoch."""
    sides = item_domains.sides
    items, counted, shift = (torch.from_numpy(array).to(device) for array in (epoch.items, epoch.counted, epoch.shift))
    hidden = np.where(epoch.counted, epoch.positions, -1)
    for start in range(0, len(epoch.rows), batch_size):
        part = slice(start, start + batch_size)
        batch = cross_domain_batch(users, sides, epoch.rows[part], hidden[part], device)
        yield PairBatch(batch, items[part], counted[part], shift[part])


def _paired(
    users: UserHistories, item_domains: ItemDomains, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, positions and counted before they are shuffled."""
    histories = users.histories
    sides = item_domains.sides[histories.items]
    if users.positive is not None:
        sides = np.where(users.positive, sides, -1)
    shuffled, counts, first = [], [], []
    for side in (0, 1):
        positives = np.flatnonzero(sides == side)
        user = histories.users[positives]
        shuffled.append(np.append(positives[np.lexsort((rng.random(len(positives)), user))], -1))
        counts.append(np.bincount(user, minlength=len(histories)))
        first.append(np.cumsum(counts[-1]) - counts[-1])
    longer = np.maximum(*counts)
    rows = np.repeat(np.arange(len(histories)), longer)
    turn = np.arange(len(rows)) - np.repeat(np.cumsum(longer) - longer, longer)
    positions, counted = np.empty((len(rows), 2), dtype=np.int64), np.empty((len(rows), 2), dtype=bool)
    for side in (0, 1):
        count = counts[side][rows]
        index = first[side][rows] + turn % np.maximum(count, 1)
        positions[:, side] = shuffled[side][np.where(count > 0, index, -1)]
        counted[:, side] = turn < count
    return rows, positions, counted
