"""Batches of sequences without padding: T items of B users, one user after the other.

Position-wise layers (embeddings, normalisation, feed-forward) run on the T real items only. Layers over sequences
(attention, recurrence) get rows in parts of users of similar length, padded on the right, so that a causal layer never
sees padding. The result is that of one padded batch, the work is nearly that of the real items; it is least if the
users of a batch are sorted by length (`by_length`).

Shapes: B users, T items of them, L the longest sequence of a part, d channels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.sequences import Sequences

ToTensor = Callable[[np.ndarray], torch.Tensor]  # moves an array to the device
MAX_LENGTH_RATIO = 1.25  # of the longest sequence of a part to its shortest


@dataclass(frozen=True)
class Part:
    """Neighbouring users of a batch as rows."""

    span: slice  # of the T items
    users: int
    longest: int
    slots: torch.Tensor | None  # index of each item among users * longest; None: no padding is needed
    real: torch.Tensor | None  # [users, L] true where a row holds an item

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """[T, d] -> [users, L, d] of this part, padded with zeros."""
        items = values[self.span]
        if self.slots is not None:
            items = items.new_zeros(self.users * self.longest, items.shape[-1]).index_copy(0, self.slots, items)
        return items.view(self.users, self.longest, -1)

    def flat(self, rows: torch.Tensor) -> torch.Tensor:
        """[users, L, d] -> its real items [t, d]."""
        values = rows.reshape(-1, rows.shape[-1])
        return values if self.slots is None else values.index_select(0, self.slots)


BesideRows = Callable[[torch.Tensor, torch.Tensor, Part], torch.Tensor]  # [users, d], [users, L, d'] -> [users, d]


@dataclass(frozen=True)
class PackedBatch:
    items: torch.Tensor  # [T]
    user: torch.Tensor  # [T] the user of each item, 0 ... B-1
    position: torch.Tensor  # [T] number of the user's items before it
    from_end: torch.Tensor  # [T] number of the user's items after it
    lengths: torch.Tensor  # [B]
    parts: tuple[Part, ...]

    def newest(self, values: torch.Tensor) -> torch.Tensor:
        """[T, d] -> [B, d], the values at each user's last item."""
        return values[self.ends]

    @property
    def ends(self) -> torch.Tensor:
        """[B] index of each user's last item among the T; every user needs one."""
        return self.lengths.cumsum(0) - 1

    def through_rows(self, values: torch.Tensor, layer: Callable[[torch.Tensor, Part], torch.Tensor]) -> torch.Tensor:
        """Apply a layer over rows to [T, d]; the result is [T, d']."""
        return torch.cat([part.flat(layer(part.rows(values), part)) for part in self.parts])

    def beside_rows(self, queries: torch.Tensor, values: torch.Tensor, layer: BesideRows) -> torch.Tensor:
        """Apply a layer to one vector per user [B, d] and the user's row of [T, d']; the result is [B, d]."""
        split = queries.split([part.users for part in self.parts])
        pairs = zip(split, self.parts, strict=True)
        return torch.cat([layer(part_queries, part.rows(values), part) for part_queries, part in pairs])


def by_length(sequences: Sequences) -> np.ndarray:
    """Return the order of users, shortest sequence first, in which they pack best."""
    return np.argsort(sequences.lengths, kind="stable")


def pack(sequences: Sequences, device: torch.device | str = "cpu", *, pin_memory: bool = False) -> PackedBatch:
    """Return the sequences of a batch as tensors; with pinned memory the copies to a GPU overlap its work."""
    lengths = sequences.lengths
    positions = np.arange(len(sequences.items)) - np.repeat(sequences.starts[:-1], lengths)
    from_end = np.repeat(lengths, lengths) - 1 - positions

    def to_tensor(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=bool if array.dtype == bool else np.int64))
        return (tensor.pin_memory() if pin_memory else tensor).to(device, non_blocking=pin_memory)

    parts = tuple(_part(sequences, positions, first, end, to_tensor) for first, end in _similar_lengths(lengths))
    return PackedBatch(
        to_tensor(sequences.items),
        to_tensor(sequences.users),
        to_tensor(positions),
        to_tensor(from_end),
        to_tensor(lengths),
        parts,
    )


def _similar_lengths(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Return runs of users whose lengths differ by little."""
    runs, first, shortest, longest = [], 0, 0, 0
    for user, length in enumerate(lengths.tolist()):
        shortest, longest = (min(shortest, length), max(longest, length)) if user > first else (length, length)
        if longest > max(MAX_LENGTH_RATIO * shortest, 2):
            runs.append((first, user))
            first, shortest, longest = user, length, length
    return [*runs, (first, len(lengths))] if len(lengths) else []


def _part(sequences: Sequences, positions: np.ndarray, first: int, end: int, to_tensor: ToTensor) -> Part:
    lengths = sequences.lengths[first:end]
    longest, span = int(lengths.max()), slice(int(sequences.starts[first]), int(sequences.starts[end]))
    if (lengths == longest).all():
        return Part(span, end - first, longest, None, None)
    slots = np.repeat(np.arange(end - first), lengths) * longest + positions[span]
    real = np.arange(longest) < lengths[:, None]
    return Part(span, end - first, longest, to_tensor(slots), to_tensor(real))
