"""Training targets of a batch of users: states of the model, and the item each state should predict.

    sasrec, gru4rec   after every item of a sequence: the next one
    caser             after every window of items: each of the next `num_targets` ones
    bert4rec          at every masked position: the original item
Shapes: n targets, d the width of the output vectors; targets are 0 ... N-1 (item number less one)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.masking import mask
from kitrec.recommenders.data.packed_batches import PackedBatch, pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.caser import Caser, windows_before
from kitrec.recommenders.models.gru4rec import GRU4Rec
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.sasrec import SASRec

Pack = Callable[[Sequences], PackedBatch]


@dataclass(frozen=True)
class TargetBatch:
    states: torch.Tensor  # [n, d]
    targets: torch.Tensor  # [n]
    users: np.ndarray  # [n] the user of each target, 0 ... B-1
    positions: np.ndarray  # [n] number of the user's items before the target; -1 for a skip target of Caser


def trainable_users(model: Recommender, sequences: Sequences) -> np.ndarray:
    """Return the users that give a target: those with two items, or one for a model that masks positions."""
    return np.flatnonzero(sequences.lengths >= (1 if isinstance(model, BERT4Rec) else 2))


def target_batch(
    model: Recommender, sequences: Sequences, rng: np.random.Generator, pack_batch: Pack = pack
) -> TargetBatch:
    """Return the targets of a batch; of a sequence that is too long the newest part (Caser: each of its windows)."""
    if isinstance(model, BERT4Rec):
        return _masked_targets(model, sequences, rng, pack_batch)
    if isinstance(model, Caser):
        return _window_targets(model, pack_batch(sequences))
    assert isinstance(model, SASRec | GRU4Rec)
    return _next_item_targets(model, sequences, pack_batch)


def _next_item_targets(model: SASRec | GRU4Rec, complete: Sequences, pack_batch: Pack) -> TargetBatch:
    sequences = complete.newest(model.max_length + 1)
    states = model(pack_batch(sequences.without_last()))
    first = np.zeros(len(sequences.items), dtype=bool)
    first[sequences.starts[:-1]] = True
    return _batch(states, sequences, np.flatnonzero(~first), complete)


def _masked_targets(model: BERT4Rec, complete: Sequences, rng: np.random.Generator, pack_batch: Pack) -> TargetBatch:
    sequences = complete.newest(model.max_length)
    masked = mask(sequences, model.masking, model.mask_item - 1, rng)
    masked_positions = np.flatnonzero(masked.masked)
    x = model(pack_batch(masked.inputs))
    states = model.restored(x[torch.from_numpy(masked_positions).to(x.device)])
    return _batch(states, sequences, masked_positions, complete)


def _window_targets(model: Caser, batch: PackedBatch) -> TargetBatch:
    next_items = torch.nonzero(batch.position > 0)[:, 0]
    states = model(windows_before(batch, next_items, model.max_length))
    steps = torch.arange(model.num_targets, device=next_items.device)
    row, step = torch.nonzero(steps <= batch.from_end[next_items][:, None], as_tuple=True)
    targets = next_items[row] + step
    positions = torch.where(step == 0, batch.position[targets], -1).cpu().numpy()
    return TargetBatch(states[row], batch.items[targets] - 1, batch.user[targets].cpu().numpy(), positions)


def _batch(states: torch.Tensor, sequences: Sequences, indices: np.ndarray, complete: Sequences) -> TargetBatch:
    """Build the batch of the targets at `indices` of `sequences.items`, the newest parts of `complete`."""
    targets, users = torch.from_numpy(sequences.items[indices] - 1), sequences.users[indices]
    positions = indices - (sequences.starts[1:] - complete.lengths)[users]
    return TargetBatch(states, targets.to(states.device), users, positions)
