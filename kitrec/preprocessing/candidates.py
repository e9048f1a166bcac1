"""Candidate lists: the held-out item and `count - 1` items the user never interacted with, in shuffled order.

Set B: negatives drawn uniformly from the target domain.
Set A: hard negatives first, then random ones:
* same_category: uniform among items that share a category with the ground truth;
* neighbour: items that training users interacted with together with the shown history, most frequent first;
* popularity_matched: items nearest to the ground truth in the order of popularity, ties in an order drawn once.
Neighbours and popularity are counted in the training users' histories alone, so no list is mined from test data.

The cost of a list depends on its length and its user's history, not on the catalogue: a source of negatives yields at
most as many items as could all be excluded, plus as many as are needed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl
from scipy import sparse

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.preprocessing.params import Candidates


@dataclass(frozen=True)
class CandidatePool:
    """Items of a target domain, with the statistics that hard negatives are selected by."""

    ids: np.ndarray
    row_of: dict[str, int]
    categories: list[frozenset[str]]
    with_category: dict[str, np.ndarray]
    by_popularity: np.ndarray
    popularity_rank: np.ndarray
    co_interactions: sparse.csr_array
    source_row_of: dict[str, int]


def build_pool(seed: int, items: pl.DataFrame, target: str, history: pl.DataFrame) -> CandidatePool:
    """Build the pool of `target`; popularity and co-interactions are counted in `history` (training users only)."""
    target_items = items.filter(pl.col("domain") == target)
    ids = target_items["item_id"].to_numpy()
    row_of = {item: k for k, item in enumerate(ids)}
    categories = [frozenset(c) for c in target_items["categories"].to_list()]
    with_category: dict[str, list[int]] = {}
    for k, names in enumerate(categories):
        for name in names:
            with_category.setdefault(name, []).append(k)
    source_row_of = {item: k for k, item in enumerate(items["item_id"].to_list())}
    co_interactions = _co_interactions(history, source_row_of, row_of)
    counts = history.filter(pl.col("item_id").is_in(target_items["item_id"].implode()))["item_id"].value_counts()
    popularity = np.zeros(len(ids))
    popularity[[row_of[i] for i in counts["item_id"]]] = counts["count"].to_numpy()
    by_popularity = np.lexsort((generator(seed, "equals in popularity", target).permutation(len(ids)), popularity))
    rank = np.empty(len(ids), dtype=np.int64)
    rank[by_popularity] = np.arange(len(ids))
    arrays = {name: np.array(members) for name, members in with_category.items()}
    return CandidatePool(ids, row_of, categories, arrays, by_popularity, rank, co_interactions, source_row_of)


def _co_interactions(history: pl.DataFrame, rows: dict[str, int], columns: dict[str, int]) -> sparse.csr_array:
    """Count the training users of every pair of items, [all items, target items]."""
    users = history["user_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    item = np.array([rows[i] for i in history["item_id"]], dtype=np.int64)
    target = np.array([columns.get(i, -1) for i in history["item_id"]], dtype=np.int64)
    n_users = int(users.max(initial=-1)) + 1
    interactions = sparse.csr_array((np.ones(len(users)), (users, item)), shape=(n_users, len(rows)))
    kept = target >= 0
    targets = sparse.csr_array((np.ones(kept.sum()), (users[kept], target[kept])), shape=(n_users, len(columns)))
    return (interactions.T @ targets).tocsr()


def draw_candidates(
    seed: int,
    candidates: Candidates,
    pool: CandidatePool,
    candidate_set: str,
    user: str,
    ground_truth: str,
    excluded: set[str],
    history: list[str],
) -> tuple[list[str], list[str]]:
    """Return (item ids, origin of each) in display order. The generator is specific to set, user and ground truth."""
    rng = generator(seed, "candidates", candidate_set, user, ground_truth)
    gt = pool.row_of[ground_truth]
    taken = {pool.row_of[i] for i in excluded if i in pool.row_of} | {gt}
    if len(pool.ids) - len(taken) < candidates.count - 1:
        left = len(pool.ids) - len(taken) + 1
        raise InputError(f"candidates.count: {candidates.count} asked for, {left} items are left for {user}; lower it")
    enough = len(taken) + candidates.count
    members, origins = [gt], ["truth"]
    for origin, quota, ranked in _negative_sources(rng, candidates, pool, candidate_set, gt, history, enough):
        fresh = _take(ranked, taken, min(quota, candidates.count - len(members)))
        members += fresh
        origins += [origin] * len(fresh)
    order = rng.permutation(len(members))
    return pool.ids[np.array(members)[order]].tolist(), [origins[k] for k in order]


def _take(ranked: Iterable[int], taken: set[int], count: int) -> list[int]:
    """Return the first `count` items that are not yet taken, and mark them as taken."""
    fresh = list(islice((item for item in ranked if item not in taken), count))
    taken.update(fresh)
    return fresh


def _negative_sources(
    rng: np.random.Generator,
    candidates: Candidates,
    pool: CandidatePool,
    candidate_set: str,
    gt: int,
    history: list[str],
    enough: int,
) -> Iterator[tuple[str, int, Iterable[int]]]:
    """Yield (origin, quota, items in order of preference); the last source fills the rest of the list."""
    if candidate_set == "A":
        yield "same_category", candidates.same_category, _same_category(rng, pool, gt, enough)
        yield "neighbour", candidates.neighbours, _neighbours(rng, pool, history)
        yield "popularity_matched", candidates.popularity_matched, _popularity_matched(rng, pool, gt, enough)
    yield "random", candidates.count, _sample(rng, len(pool.ids), enough).tolist()


def _same_category(rng: np.random.Generator, pool: CandidatePool, gt: int, enough: int) -> Iterator[int]:
    """Yield items of the ground truth's categories uniformly: drawn from the concatenated category lists, an item
    counts only in the first list that holds it."""
    names = sorted(pool.categories[gt])
    if not names:
        return
    ends = np.cumsum([len(pool.with_category[name]) for name in names])
    positions = _sample(rng, int(ends[-1]), 2 * enough * len(names))
    for category, position in zip(np.searchsorted(ends, positions, side="right").tolist(), positions, strict=True):
        item = int(pool.with_category[names[category]][position - ends[category]])  # counted from the list's end
        if pool.categories[item].isdisjoint(names[:category]):
            yield item


def _neighbours(rng: np.random.Generator, pool: CandidatePool, history: list[str]) -> list[int]:
    """Rank items by co-interactions with the history, ties in random order."""
    table = pool.co_interactions
    spans = [slice(table.indptr[row], table.indptr[row + 1]) for row in (pool.source_row_of[i] for i in history)]
    if not spans:
        return []
    items, inverse = np.unique(np.concatenate([table.indices[span] for span in spans]), return_inverse=True)
    strength = np.bincount(inverse, weights=np.concatenate([table.data[span] for span in spans]))
    return items[np.lexsort((rng.random(len(items)), -strength))].tolist()


def _popularity_matched(rng: np.random.Generator, pool: CandidatePool, gt: int, enough: int) -> list[int]:
    """Rank items by their distance from the ground truth in the order of popularity."""
    rank = int(pool.popularity_rank[gt])
    window = np.arange(max(0, rank - enough), min(len(pool.ids), rank + enough + 1))
    return pool.by_popularity[window[np.lexsort((rng.random(len(window)), np.abs(window - rank)))]].tolist()


def _sample(rng: np.random.Generator, population: int, count: int) -> np.ndarray:
    """Draw `count` distinct numbers below `population` (or all of them) in random order."""
    return rng.choice(population, min(count, population), replace=False)
