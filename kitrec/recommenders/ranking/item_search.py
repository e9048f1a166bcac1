"""The best k of all items for each user's state, exactly, without a table of users by items.

    score of item i = state · W_i + b_i
Items are scored in blocks, in bfloat16 where the processor multiplies it fast, and of every 32 neighbours (a group) the
highest score is kept. It and a bound on its rounding tell which groups can hold one of the best k; those alone are
scored in float32. The bound: with s' and w' as rounded, u the unit roundoff and a the error of accumulation,
    |s·w - coarse| <= |s| |w - w'| + |s - s'| |w'| + (u + a) |s| |w|
Equal scores are ranked by item number. Shapes: U users, N items (padded to whole sets), G groups, S sets of 16 groups,
P pairs of user and group, d width."""

import numpy as np
import torch
import torch.nn.functional as F

from kitrec.recommenders.ranking.removed_items import RemovedItems

CHUNK = 512  # users searched for together
GROUP, SET = 32, 16  # items of a group, groups of a set
BLOCK = 4096  # items scored at once: with some hundred users they stay in the processor's cache
PAIRS = 512  # pairs of user and group scored at once
FEW = 1 << 19  # scores, of which a table is quicker
TABLE = 1 << 22  # scores of candidates in memory at once
LOW = 0xFFFFFFFF  # the lower half of a key


class ItemSearch:
    """The vectors of all items, prepared once for any number of users."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        rows = weight.detach().float()
        self._has_bias, self.items = bias is not None, len(rows)
        if bias is not None:
            rows = torch.cat([rows, bias.detach().float()[:, None]], dim=1)
        self._rows = F.pad(rows, (0, 0, 0, -len(rows) % (GROUP * SET))).contiguous()
        self.padded, self.device = len(self._rows), self._rows.device
        self._coarse = self._rows.to(_coarse_dtype(self.device))
        self._bounds = self._rounding_bounds()

    def best(self, states: torch.Tensor, k: int, removed: RemovedItems) -> tuple[np.ndarray, np.ndarray]:
        """Return items [U, k] from 1 and their scores, best first; -inf where fewer than k items are left."""
        with torch.inference_mode():
            states, k = states.to(self._rows), min(k, self.items)
            if self._has_bias:
                states = F.pad(states, (0, 1), value=1.0)
            if self._needs_table(k) or len(states) * self.padded <= FEW:
                keys = self._rank_all(states, k, removed)
            else:
                keys = self._rank(states, *self._candidates(states, k, removed), k, removed)
            return (LOW - (keys & LOW)).cpu().numpy() + 1, _scores_of(keys).cpu().numpy()

    def users_at_once(self, k: int) -> int:
        """Return how many users to search for together: a table of all items' scores stays within TABLE."""
        return max(1, TABLE // self.padded) if self._needs_table(k) else CHUNK

    def _needs_table(self, k: int) -> bool:
        """Whether there are fewer sets than items to return."""
        return self.padded < k * GROUP * SET

    def _rank_all(self, states: torch.Tensor, k: int, removed: RemovedItems) -> torch.Tensor:
        scores = self._rows @ states.T
        removed.fill(scores, 0)
        return _keys(scores.T, torch.arange(self.padded, device=self.device)).topk(k, dim=1).values

    def _rounding_bounds(self) -> torch.Tensor:
        """[G, 2], which times the norms of a state and of its rounding error bounds the error of a group's scores."""
        coarse, width = self._coarse.float(), self._rows.shape[1]
        unit = torch.finfo(self._coarse.dtype).eps / 2 + width * torch.finfo(torch.float32).eps * 4
        norms = torch.stack([self._rows.norm(dim=1) * unit, (self._rows - coarse).norm(dim=1), coarse.norm(dim=1)])
        whole, residual, rounded = norms.view(3, -1, GROUP).amax(2)
        return torch.stack([whole + residual, rounded], dim=1)

    def _candidates(self, states: torch.Tensor, k: int, removed: RemovedItems) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pairs of user and group that can hold one of the best k, sorted: k sets surely reach `lowest`."""
        norms = torch.stack([states.norm(dim=1), (states - states.to(self._coarse.dtype).float()).norm(dim=1)])
        maxima = self._group_maxima(states, removed).view(-1, SET, len(states))
        bounds = self._bounds.view(-1, SET, 2)
        of_sets = maxima.amax(1)
        highest = torch.addmm(of_sets, bounds.amax(1), norms)
        top = of_sets.T.topk(k, dim=1)
        lowest = (2 * top.values - highest.T.gather(1, top.indices)).nan_to_num(nan=-torch.inf).amin(1)  # of empty sets
        users, sets = (highest >= lowest).T.nonzero().unbind(1)
        highest = maxima[sets, :, users] + (bounds[sets] @ norms.T[users, :, None])[:, :, 0]
        pairs, groups = ((highest >= lowest[users, None]) & (highest > -torch.inf)).nonzero().unbind(1)
        return users[pairs], sets[pairs] * SET + groups

    def _group_maxima(self, states: torch.Tensor, removed: RemovedItems) -> torch.Tensor:
        """[G, U] highest coarse score of each group, -inf where all its items are removed."""
        columns = states.to(self._coarse.dtype).T.contiguous()
        maxima, buffer = states.new_empty(len(self._bounds), len(states)), columns.new_empty(BLOCK, len(states))
        for start in range(0, self.padded, BLOCK):
            rows = self._coarse[start : start + BLOCK]
            scores = torch.mm(rows, columns, out=buffer[: len(rows)])
            removed.fill(scores, start)
            maxima[start // GROUP : (start + len(rows)) // GROUP] = _maxima(scores.view(-1, GROUP, len(states)))
        return maxima

    def _rank(
        self, states: torch.Tensor, users: torch.Tensor, groups: torch.Tensor, k: int, removed: RemovedItems
    ) -> torch.Tensor:
        """[U, k] keys of the best items of each user's groups; the pairs are sorted by user and group."""
        counts = torch.bincount(users, minlength=len(states))
        widest, ends = max(int(counts.max()), -(-k // GROUP)), counts.cumsum(0)
        slots, step = torch.arange(len(users), device=self.device) - (ends - counts)[users], TABLE // (widest * GROUP)
        keys, starts, within = [], [0, *ends.tolist()], torch.arange(GROUP, device=self.device)
        nothing = _keys(states.new_full((1,), -torch.inf), 0)
        for first in range(0, len(states), max(1, step)):
            last = min(first + max(1, step), len(states))
            part = slice(starts[first], starts[last])
            table = nothing.repeat(last - first, widest, GROUP)
            scores = self._exact(states, users[part], groups[part], removed)
            table[users[part] - first, slots[part]] = _keys(scores, groups[part, None] * GROUP + within)
            keys.append(table.flatten(1).topk(k, dim=1).values)
        return torch.cat(keys)

    def _exact(
        self, states: torch.Tensor, users: torch.Tensor, groups: torch.Tensor, removed: RemovedItems
    ) -> torch.Tensor:
        """[P, items of a group] scores in float32."""
        rows, scores = self._rows.view(len(self._bounds), -1), states.new_empty(len(users), GROUP, 1)
        for start in range(0, len(users), PAIRS):
            part = slice(start, start + PAIRS)
            vectors = rows.index_select(0, groups[part]).view(-1, GROUP, self._rows.shape[1])
            torch.bmm(vectors, states[users[part], :, None], out=scores[part])
        removed.fill_groups(scores[:, :, 0], users, groups)
        return scores[:, :, 0]


def _coarse_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where a CPU has its instructions; a GPU may sum it in bfloat16 too, and is fast enough in float32."""
    return torch.bfloat16 if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else torch.float32


def _maxima(groups: torch.Tensor) -> torch.Tensor:
    """Return the maximum of dim 1. Of bfloat16 by its bits as whole numbers, four times faster than as numbers: those
    of positive numbers are in order, those of negative ones are below them and in reverse."""
    if groups.dtype != torch.bfloat16:
        return groups.amax(1)
    bits = groups.view(torch.int16)
    highest = bits.amax(1)
    if (highest < 0).any():
        highest = torch.where(highest >= 0, highest, bits.amin(1))
    return highest.view(torch.bfloat16)


def _keys(scores: torch.Tensor, items: torch.Tensor | int) -> torch.Tensor:
    """Return whole numbers in the order of the scores; of equal scores the first item has the highest."""
    bits = (scores + 0.0).view(torch.int32)  # + 0: minus zero is zero
    return ((bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() << 32) | (LOW - items)


def _scores_of(keys: torch.Tensor) -> torch.Tensor:
    bits = (keys >> 32).to(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)
