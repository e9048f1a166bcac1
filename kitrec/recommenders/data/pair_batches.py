"""An epoch as arrays: every positive of every reader once, those of the source beside those of the target.

Row r of a reader holds their r-th item of either side in a random order. The shorter side begins again and is then only
company (not counted, and not left out of the history). What a reader did not like is no
positive, and no negative either: it is part of what was read. All negatives of the epoch are drawn at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.cross_domain_batches import Readers, ask
from kitrec.recommenders.data.item_domains import Catalogue, Unknown
from kitrec.recommenders.models.cross_domain_model import Lesson


@dataclass(frozen=True)
class Epoch:
    rows: np.ndarray  # [m] whose row it is
    places: np.ndarray  # [m, 2] where the positive of each side stands in histories.items; -1: the reader has none
    counted: np.ndarray  # [m, 2]
    items: np.ndarray  # [m, 2, 1 + k]
    shift: np.ndarray  # [m]


def epoch(readers: Readers, catalogue: Catalogue, unknown: Unknown, negatives: int, seed: np.random.Generator) -> Epoch:
    """The rows of an epoch in a random order."""
    histories = readers.histories
    rows, places, counted = _paired(readers, catalogue, seed)
    order = seed.permutation(len(rows))
    rows, places, counted = rows[order], places[order], counted[order]
    positives = np.where(places >= 0, np.append(histories.items, 0)[places], 0)
    drawn = [unknown.drawn(seed, rows, positives[:, side], negatives) for side in (0, 1)]
    items = np.concatenate([positives[:, :, None], np.stack(drawn, axis=1)], axis=2)
    return Epoch(rows, places, counted, items, seed.integers(negatives + 1, size=len(rows)))


def lessons(
    readers: Readers, catalogue: Catalogue, planned: Epoch, batch: int, device: torch.device
) -> Iterator[Lesson]:
    """The batches of an epoch."""
    sides = catalogue.sides
    items, counted, shift = (
        torch.from_numpy(own).to(device) for own in (planned.items, planned.counted, planned.shift)
    )
    hidden = np.where(planned.counted, planned.places, -1)
    for start in range(0, len(planned.rows), batch):
        part = slice(start, start + batch)
        asked = ask(readers, sides, planned.rows[part], hidden[part], device)
        yield Lesson(asked, items[part], counted[part], shift[part])


def _paired(
    readers: Readers, catalogue: Catalogue, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    histories = readers.histories
    side = catalogue.sides[histories.items]
    if readers.liked is not None:
        side = np.where(readers.liked, side, -1)
    own, counts, first = [], [], []
    for asked in (0, 1):
        found = np.flatnonzero(side == asked)
        users = histories.users[found]
        own.append(np.append(found[np.lexsort((rng.random(len(found)), users))], -1))
        counts.append(np.bincount(users, minlength=len(histories)))
        first.append(np.cumsum(counts[-1]) - counts[-1])
    most = np.maximum(*counts)
    rows = np.repeat(np.arange(len(histories)), most)
    turn = np.arange(len(rows)) - np.repeat(np.cumsum(most) - most, most)
    places, counted = np.empty((len(rows), 2), dtype=np.int64), np.empty((len(rows), 2), dtype=bool)
    for asked in (0, 1):
        has = counts[asked][rows]
        where = first[asked][rows] + turn % np.maximum(has, 1)
        places[:, asked] = own[asked][np.where(has > 0, where, -1)]
        counted[:, asked] = turn < has
    return rows, places, counted
