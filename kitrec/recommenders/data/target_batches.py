"""What a batch of users teaches each kind of model: states, and the item each state should name.

    sasrec, gru4rec   after every item of a sequence: the next one
    caser             after every window of items: each of the next `ahead` ones
    bert4rec          at every hidden place: the item that stood there
Shapes: n targets, d the width of the output vectors; targets are 0 ... N-1 (item number less one)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.masking import mask
from kitrec.recommenders.data.packed_batches import Packed, pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.caser import Caser, windows_before
from kitrec.recommenders.models.gru4rec import GRU4Rec
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.models.sequence_model import Recommender


@dataclass(frozen=True)
class Lesson:
    states: torch.Tensor  # [n, d]
    wanted: torch.Tensor  # [n]
    users: np.ndarray  # [n] whose target it is, 0 ... B-1
    places: np.ndarray  # [n] how many items of the user come before it; -1 where it is not the very next one (Caser)


def learnable(model: Recommender, sequences: Sequences) -> np.ndarray:
    """The users that teach a model something: two items, one for a model that hides places."""
    return np.flatnonzero(sequences.lengths >= (1 if isinstance(model, BERT4Rec) else 2))


def lesson(
    model: Recommender, sequences: Sequences, rng: np.random.Generator, packed: Callable[[Sequences], Packed] = pack
) -> Lesson:
    """The targets of a batch; a sequence that is too long teaches its newest part (Caser: each of its windows)."""
    if isinstance(model, BERT4Rec):
        return _restore(model, sequences, rng, packed)
    if isinstance(model, Caser):
        return _ahead(model, packed(sequences))
    assert isinstance(model, SASRec | GRU4Rec)
    return _next(model, sequences, packed)


def _next(model: SASRec | GRU4Rec, whole: Sequences, packed: Callable[[Sequences], Packed]) -> Lesson:
    sequences = whole.newest(model.length + 1)
    states = model(packed(sequences.without_last()))
    first = np.zeros(len(sequences.items), dtype=bool)
    first[sequences.starts[:-1]] = True
    return _lesson(states, sequences, np.flatnonzero(~first), whole)


def _restore(
    model: BERT4Rec, whole: Sequences, rng: np.random.Generator, packed: Callable[[Sequences], Packed]
) -> Lesson:
    sequences = whole.newest(model.length)
    masked = mask(sequences, model.masking, model.mask_item - 1, rng)
    hidden = np.flatnonzero(masked.hidden)
    x = model(packed(masked.shown))
    states = model.restored(x[torch.from_numpy(hidden).to(x.device)])
    return _lesson(states, sequences, hidden, whole)


def _ahead(model: Caser, batch: Packed) -> Lesson:
    where = torch.nonzero(batch.place > 0)[:, 0]
    states = model(windows_before(batch, where, model.length))
    steps = torch.arange(model.ahead, device=where.device)
    row, step = torch.nonzero(steps <= batch.from_end[where][:, None], as_tuple=True)
    targets = where[row] + step
    places = torch.where(step == 0, batch.place[targets], -1).cpu().numpy()
    return Lesson(states[row], batch.items[targets] - 1, batch.user[targets].cpu().numpy(), places)


def _lesson(states: torch.Tensor, sequences: Sequences, targets: np.ndarray, whole: Sequences) -> Lesson:
    """Of the places `targets` among the items of `sequences`, the newest parts of `whole`."""
    wanted, users = torch.from_numpy(sequences.items[targets] - 1), sequences.users[targets]
    places = targets - (sequences.starts[1:] - whole.lengths)[users]
    return Lesson(states, wanted.to(states.device), users, places)
