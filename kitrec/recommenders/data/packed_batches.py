"""A batch of sequences without padding: T items of B users, one user after the other.

Layers that treat each item alone (embeddings, normalisation, feed-forward) run on the T real items only. What needs
rows (attention, recurrence) gets them in parts of users of similar length, padded on the right, so that a causal layer
never sees padding. The value is that of one padded batch, the work is nearly that of the real items; it is least where
the users of a batch come sorted by length (`by_length`).

Shapes: B users, T items of them, L the longest sequence of a part, d channels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.sequences import Sequences

Tensor = Callable[[np.ndarray], torch.Tensor]  # an array on its device
ROOM = 1.25  # the longest of a part is at most so much longer than its shortest


@dataclass(frozen=True)
class Part:
    """Neighbouring users of a batch as rows."""

    span: slice  # of the T items
    users: int
    longest: int
    slots: torch.Tensor | None  # where each item stands among users * longest; None: no padding is needed
    real: torch.Tensor | None  # [users, L] true where a row holds an item

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """[T, d] -> [users, L, d] of this part, zeros where a user has no more items."""
        own = values[self.span]
        if self.slots is not None:
            own = own.new_zeros(self.users * self.longest, own.shape[-1]).index_copy(0, self.slots, own)
        return own.view(self.users, self.longest, -1)

    def flat(self, rows: torch.Tensor) -> torch.Tensor:
        """[users, L, d] -> its real items [t, d]."""
        values = rows.reshape(-1, rows.shape[-1])
        return values if self.slots is None else values.index_select(0, self.slots)


BesideRows = Callable[[torch.Tensor, torch.Tensor, Part], torch.Tensor]  # [users, d], [users, L, d'] -> [users, d]


@dataclass(frozen=True)
class Packed:
    items: torch.Tensor  # [T]
    user: torch.Tensor  # [T] whose item it is, 0 ... B-1
    place: torch.Tensor  # [T] how many items of the same user came before it
    from_end: torch.Tensor  # [T] how many come after it
    lengths: torch.Tensor  # [B]
    parts: tuple[Part, ...]

    def newest(self, values: torch.Tensor) -> torch.Tensor:
        """[T, d] -> [B, d], what stands at each user's last item."""
        return values[self.ends]

    @property
    def ends(self) -> torch.Tensor:
        """[B] where each user's last item stands among the T; every user needs one."""
        return self.lengths.cumsum(0) - 1

    def through_rows(self, values: torch.Tensor, layer: Callable[[torch.Tensor, Part], torch.Tensor]) -> torch.Tensor:
        """[T, d] through a layer that wants rows, [T, d'] again."""
        return torch.cat([part.flat(layer(part.rows(values), part)) for part in self.parts])

    def beside_rows(self, own: torch.Tensor, values: torch.Tensor, layer: BesideRows) -> torch.Tensor:
        """[B, d] through a layer that looks at the rows of [T, d'] beside it, [B, d] again."""
        owns = own.split([part.users for part in self.parts])
        pairs = zip(owns, self.parts, strict=True)
        return torch.cat([layer(of_part, part.rows(values), part) for of_part, part in pairs])


def by_length(sequences: Sequences) -> np.ndarray:
    """The order of users, shortest sequence first, in which they pack best."""
    return np.argsort(sequences.lengths, kind="stable")


def pack(sequences: Sequences, device: torch.device | str = "cpu", *, pinned: bool = False) -> Packed:
    """The sequences of a batch as tensors; by way of pinned memory the copies to a GPU run beside its work."""
    lengths = sequences.lengths
    places = np.arange(len(sequences.items)) - np.repeat(sequences.starts[:-1], lengths)
    from_end = np.repeat(lengths, lengths) - 1 - places

    def tensor(own: np.ndarray) -> torch.Tensor:
        found = torch.from_numpy(np.ascontiguousarray(own, dtype=bool if own.dtype == bool else np.int64))
        return (found.pin_memory() if pinned else found).to(device, non_blocking=pinned)

    parts = tuple(_part(sequences, places, first, after, tensor) for first, after in _similar(lengths))
    return Packed(
        tensor(sequences.items), tensor(sequences.users), tensor(places), tensor(from_end), tensor(lengths), parts
    )


def _similar(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Runs of users whose lengths differ by little."""
    runs, first, least, most = [], 0, 0, 0
    for user, length in enumerate(lengths.tolist()):
        least, most = (min(least, length), max(most, length)) if user > first else (length, length)
        if most > max(ROOM * least, 2):
            runs.append((first, user))
            first, least, most = user, length, length
    return [*runs, (first, len(lengths))] if len(lengths) else []


def _part(sequences: Sequences, places: np.ndarray, first: int, after: int, tensor: Tensor) -> Part:
    lengths = sequences.lengths[first:after]
    longest, span = int(lengths.max()), slice(int(sequences.starts[first]), int(sequences.starts[after]))
    if (lengths == longest).all():
        return Part(span, after - first, longest, None, None)
    slots = np.repeat(np.arange(after - first), lengths) * longest + places[span]
    real = np.arange(longest) < lengths[:, None]
    return Part(span, after - first, longest, tensor(slots), tensor(real))
