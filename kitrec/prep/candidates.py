"""The list every method ranks: the held-out item and `count - 1` items the user never touched, in shuffled order.

Set B: negatives uniform over the target domain.
Set A: hard negatives first (same category, neighbours of the history, popularity near the truth's), then random ones.
Neighbours and popularity come from the training users' histories only, so no list is mined from test data."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from kitrec.errors import InputError
from kitrec.prep.params import Candidates
from kitrec.randomness import generator


@dataclass(frozen=True)
class Pool:
    """The items of a target domain, and what makes one a hard negative for another."""

    ids: np.ndarray
    position: dict[str, int]
    categories: list[frozenset[str]]
    with_category: dict[str, np.ndarray]
    by_popularity: np.ndarray
    popularity_rank: np.ndarray
    together: sparse.csr_array
    source_position: dict[str, int]


def build_pool(items: pl.DataFrame, target: str, history: pl.DataFrame) -> Pool:
    """The pool of `target`, with popularity and co-interactions counted in `history` (training users only)."""
    own = items.filter(pl.col("domain") == target)
    ids = own["item_id"].to_numpy()
    position = {item: k for k, item in enumerate(ids)}
    categories = [frozenset(c) for c in own["categories"].to_list()]
    with_category: dict[str, list[int]] = {}
    for k, names in enumerate(categories):
        for name in names:
            with_category.setdefault(name, []).append(k)
    source_position = {item: k for k, item in enumerate(items["item_id"].to_list())}
    together = _co_interactions(history, source_position, position)
    counts = history.filter(pl.col("item_id").is_in(own["item_id"].implode()))["item_id"].value_counts()
    popularity = np.zeros(len(ids))
    popularity[[position[i] for i in counts["item_id"]]] = counts["count"].to_numpy()
    by_popularity = np.lexsort((np.arange(len(ids)), popularity))
    rank = np.empty(len(ids), dtype=np.int64)
    rank[by_popularity] = np.arange(len(ids))
    arrays = {name: np.array(members) for name, members in with_category.items()}
    return Pool(ids, position, categories, arrays, by_popularity, rank, together, source_position)


def _co_interactions(history: pl.DataFrame, rows: dict[str, int], columns: dict[str, int]) -> sparse.csr_array:
    """[all items, target items]: how many training users touched both."""
    users = history["user_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    every = np.array([rows[i] for i in history["item_id"]], dtype=np.int64)
    target = np.array([columns.get(i, -1) for i in history["item_id"]], dtype=np.int64)
    n_users = int(users.max(initial=-1)) + 1
    touched = sparse.csr_array((np.ones(len(users)), (users, every)), shape=(n_users, len(rows)))
    kept = target >= 0
    targets = sparse.csr_array((np.ones(kept.sum()), (users[kept], target[kept])), shape=(n_users, len(columns)))
    return (touched.T @ targets).tocsr()


def draw_candidates(
    seed: int,
    candidates: Candidates,
    pool: Pool,
    which: str,
    user: str,
    truth: str,
    touched: set[str],
    history: list[str],
) -> tuple[list[str], list[str]]:
    """(item ids, origin of each) in shown order for set `which`. The generator is the sample's own."""
    rng = generator(seed, "candidates", which, user, truth)
    gt = pool.position[truth]
    free = np.ones(len(pool.ids), dtype=bool)
    free[[pool.position[i] for i in touched if i in pool.position]] = False
    free[gt] = False
    if free.sum() < candidates.count - 1:
        raise InputError(
            f"candidates.count: {candidates.count} asked for, {int(free.sum()) + 1} items are left for {user}; lower it"
        )
    members, origins = [gt], ["truth"]
    for origin, quota, ranked in _sources(rng, candidates, pool, which, gt, history):
        fresh = ranked[free[ranked]][: min(quota, candidates.count - len(members))]
        free[fresh] = False
        members += fresh.tolist()
        origins += [origin] * len(fresh)
    order = rng.permutation(len(members))
    return pool.ids[np.array(members)[order]].tolist(), [origins[k] for k in order]


def _sources(
    rng: np.random.Generator, candidates: Candidates, pool: Pool, which: str, gt: int, history: list[str]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """(origin, quota, items in the order to take them); the last source fills what the others left open."""
    if which == "A":
        same = [np.empty(0, dtype=np.int64), *(pool.with_category[c] for c in sorted(pool.categories[gt]))]
        yield "same_category", candidates.same_category, rng.permutation(np.unique(np.concatenate(same)))
        rows = [pool.source_position[i] for i in history]
        strength = np.asarray(pool.together[rows].sum(axis=0)).ravel() if rows else np.zeros(len(pool.ids))
        near = np.lexsort((rng.random(len(strength)), -strength))
        yield "neighbour", candidates.neighbours, near[: int((strength > 0).sum())]
        gap = np.abs(pool.popularity_rank - pool.popularity_rank[gt])
        yield "popularity_matched", candidates.popularity_matched, np.lexsort((rng.random(len(gap)), gap))
    yield "random", candidates.count, rng.permutation(len(pool.ids))
