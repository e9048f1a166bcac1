"""Items that are not recommended: to nobody, to single users, or to users whose last year is before their release.

Items are positions from 0 here. Shapes: U users, N items (padded), R removed pairs of user and item, P pairs of user
and group of neighbouring items."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class RemovedItems:
    excluded: torch.Tensor  # [N] whether nobody gets the item; the padding counts as excluded
    users: np.ndarray  # [R] sorted by item
    items: np.ndarray  # [R]
    years: torch.Tensor | None = None  # [N] release years, NaN: unknown, never removed
    last_years: torch.Tensor | None = None  # [U]

    def fill(self, scores: torch.Tensor, start: int) -> None:
        """Set the removed of the items from `start` on to -inf in their scores [items, U]."""
        end = start + len(scores)
        if self.excluded[start:end].any():
            scores.masked_fill_(self.excluded[start:end, None], -torch.inf)
        first, last = np.searchsorted(self.items, [start, end])
        flat = torch.from_numpy((self.items[first:last] - start) * scores.shape[1] + self.users[first:last])
        scores.view(-1).index_fill_(0, flat.to(scores.device), -torch.inf)
        if self.years is not None and self.last_years is not None:
            scores.masked_fill_(self.years[start:end, None] > self.last_years, -torch.inf)

    def fill_groups(self, scores: torch.Tensor, users: torch.Tensor, groups: torch.Tensor) -> None:
        """Do so in the scores [P, items of a group] of pairs, which are sorted by user and group."""
        size, count = scores.shape[1], len(self.excluded) // scores.shape[1]
        scores.masked_fill_(self.excluded.view(-1, size)[groups], -torch.inf)
        keys = torch.from_numpy(self.users * count + self.items // size).to(scores.device)
        columns = torch.from_numpy(self.items % size).to(scores.device)
        pairs = users * count + groups
        rows = torch.searchsorted(pairs, keys).clamp_max(len(pairs) - 1)
        shown = pairs[rows] == keys
        scores[rows[shown], columns[shown]] = -torch.inf
        if self.years is not None and self.last_years is not None:
            scores.masked_fill_(self.years.view(-1, size)[groups] > self.last_years[users, None], -torch.inf)

    def future_items(self) -> np.ndarray:
        """Return [U] how many items the release year alone removes."""
        if self.years is None or self.last_years is None:
            return np.zeros(0, dtype=np.int64)
        years, last_years, excluded = (part.cpu().numpy() for part in (self.years, self.last_years, self.excluded))
        known = np.sort(years[~excluded & ~np.isnan(years)])
        later = np.where(np.isnan(last_years), 0, len(known) - np.searchsorted(known, last_years, side="right"))
        removed = ~excluded[self.items] & (years[self.items] > last_years[self.users])
        return later - np.bincount(self.users[removed], minlength=len(last_years))


def distinct_pairs(users: np.ndarray, items: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each pair of user and item once, sorted by item; `count` is the number of users."""
    items, users = np.divmod(np.unique(items * count + users), count)
    return users, items
