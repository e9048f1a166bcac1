"""Users as inputs of cross-domain models: by their histories and (to reproduce papers) by their index.

Shapes: B users, T items of all their histories."""

from dataclasses import dataclass

import numpy as np
import torch

from kitrec.recommenders.data.sequences import Sequences


@dataclass(frozen=True)
class UserHistories:
    """Histories over both domains. `indices` [users] are the rows of the training users in an embedding table, for
    models in the paper's form; `positive` [sum of lengths] marks the items that may be positives, None: all."""

    histories: Sequences
    indices: np.ndarray | None = None
    positive: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def take(self, rows: np.ndarray) -> "UserHistories":
        """Return the given rows, in the given order."""
        positive = None if self.positive is None else Sequences(self.positive, self.histories.starts).take(rows).items
        return UserHistories(self.histories.take(rows), None if self.indices is None else self.indices[rows], positive)


@dataclass(frozen=True)
class CrossDomainBatch:
    """A batch of users: for each side (source, target) their items, with 0 in place of the other side's items."""

    items: tuple[torch.Tensor, torch.Tensor]  # [T] each
    starts: torch.Tensor  # [B]
    indices: torch.Tensor | None  # [B]

    def __len__(self) -> int:
        return len(self.starts)

    def has(self, side: int) -> torch.Tensor:
        """[B] whether the user has any item on a side."""
        _, first, end = self._side(side)
        return end > first

    def newest(self, side: int, count: int) -> torch.Tensor:
        """[B, count] the newest items of each user on a side, newest first; 0 if there are fewer."""
        items, first, end = self._side(side)
        positions = end[:, None] - 1 - torch.arange(count, device=items.device)
        real = positions >= first[:, None]
        return torch.where(real, torch.cat([items, items.new_zeros(1)])[torch.where(real, positions, -1)], 0)

    def _side(self, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the items of a side without gaps, and the start and end of each user's items."""
        positions = torch.nonzero(self.items[side]).squeeze(1)
        ends = torch.cat([self.starts[1:], self.starts.new_tensor([len(self.items[side])])])
        return (
            self.items[side][positions],
            torch.searchsorted(positions, self.starts),
            torch.searchsorted(positions, ends),
        )


def cross_domain_batch(
    users: UserHistories,
    sides: np.ndarray,
    rows: np.ndarray,
    hidden: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> CrossDomainBatch:
    """Build a batch of rows; `hidden` [B, 2]: positions in `histories.items` of the positives to predict (-1: none)."""
    batch = users.histories.take(rows)
    items = batch.items.copy()
    if hidden is not None:
        row, side = np.nonzero(hidden >= 0)
        items[batch.starts[row] + hidden[row, side] - users.histories.starts[rows[row]]] = 0
    source, target = (torch.from_numpy(np.where(sides[items] == side, items, 0)).to(device) for side in (0, 1))
    indices = None if users.indices is None else torch.from_numpy(users.indices[rows]).to(device)
    return CrossDomainBatch((source, target), torch.from_numpy(batch.starts[:-1]).to(device), indices)
