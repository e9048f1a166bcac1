"""Readers as a model over two domains is asked about them: by what they read, and (to reproduce papers) by number.

Shapes: B readers, T items of all their histories."""

from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.sequences import Sequences


@dataclass(frozen=True)
class Readers:
    """Histories over both domains; `numbers` says which training user each row is, for models of the paper's form;
    `liked` [sum of lengths] which items may be learned as positives, None: all."""

    histories: Sequences
    numbers: np.ndarray | None = None
    liked: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def take(self, rows: np.ndarray) -> "Readers":
        """Some of them, in the order given."""
        own = self.histories
        liked = None if self.liked is None else Sequences(self.liked, own.starts).take(rows).items
        return Readers(own.take(rows), None if self.numbers is None else self.numbers[rows], liked)


@dataclass(frozen=True)
class Asked:
    """A batch of readers: for each side (source, target) their items, 0 in the place of those of the other side."""

    items: tuple[torch.Tensor, torch.Tensor]  # [T] each
    starts: torch.Tensor  # [B]
    numbers: torch.Tensor | None  # [B]

    def __len__(self) -> int:
        return len(self.starts)

    def has(self, side: int) -> torch.Tensor:
        """[B]: does the reader have any item there?"""
        _, first, after = self._on(side)
        return after > first

    def newest(self, side: int, count: int) -> torch.Tensor:
        """[B, count] the newest items of each reader on a side, newest first; 0 where there are fewer."""
        own, first, after = self._on(side)
        places = after[:, None] - 1 - torch.arange(count, device=own.device)
        real = places >= first[:, None]
        return torch.where(real, torch.cat([own, own.new_zeros(1)])[torch.where(real, places, -1)], 0)

    def _on(self, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The items of a side without gaps, and where each reader's begin and end."""
        where = torch.nonzero(self.items[side]).squeeze(1)
        ends = torch.cat([self.starts[1:], self.starts.new_tensor([len(self.items[side])])])
        return self.items[side][where], torch.searchsorted(where, self.starts), torch.searchsorted(where, ends)


def ask(
    readers: Readers,
    sides: np.ndarray,
    rows: np.ndarray,
    without: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> Asked:
    """Some rows; `without` [B, 2]: places in `histories.items` that are hidden since they are learned (-1: none)."""
    histories = readers.histories
    own = histories.take(rows)
    shown = own.items.copy()
    if without is not None:
        batch, side = np.nonzero(without >= 0)
        shown[own.starts[batch] + without[batch, side] - histories.starts[rows[batch]]] = 0
    split = tuple(torch.from_numpy(np.where(sides[shown] == side, shown, 0)).to(device) for side in (0, 1))
    numbers = None if readers.numbers is None else torch.from_numpy(readers.numbers[rows]).to(device)
    return Asked((split[0], split[1]), torch.from_numpy(own.starts[:-1]).to(device), numbers)
