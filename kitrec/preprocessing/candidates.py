"""The list every method ranks: the held-out item and `count - 1` items the user never touched, in shuffled order.

Set B: negatives uniform over the target domain.
Set A: hard negatives first, then random ones:
* same_category: uniform among items that share a category with the truth;
* neighbour: what training users touched together with the history shown, the most often first;
* popularity_matched: next to the truth in the order of popularity, equals in an order drawn once.
Neighbours and popularity come from the training users' histories only, so no list is mined from test data.

A list costs as much as it and its user's history are long, however large the catalogue: a source gives no more items
than could all be taken or touched already, and enough fresh ones."""

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


def build_pool(seed: int, items: pl.DataFrame, target: str, history: pl.DataFrame) -> Pool:
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
    by_popularity = np.lexsort((generator(seed, "equals in popularity", target).permutation(len(ids)), popularity))
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
    taken = {pool.position[i] for i in touched if i in pool.position} | {gt}
    if len(pool.ids) - len(taken) < candidates.count - 1:
        left = len(pool.ids) - len(taken) + 1
        raise InputError(f"candidates.count: {candidates.count} asked for, {left} items are left for {user}; lower it")
    enough = len(taken) + candidates.count
    members, origins = [gt], ["truth"]
    for origin, quota, ranked in _sources(rng, candidates, pool, which, gt, history, enough):
        fresh = _first_fresh(ranked, taken, min(quota, candidates.count - len(members)))
        members += fresh
        origins += [origin] * len(fresh)
    order = rng.permutation(len(members))
    return pool.ids[np.array(members)[order]].tolist(), [origins[k] for k in order]


def _first_fresh(ranked: Iterable[int], taken: set[int], wanted: int) -> list[int]:
    """The first `wanted` items that are not taken; they are taken then."""
    fresh = list(islice((item for item in ranked if item not in taken), wanted))
    taken.update(fresh)
    return fresh


def _sources(
    rng: np.random.Generator,
    candidates: Candidates,
    pool: Pool,
    which: str,
    gt: int,
    history: list[str],
    enough: int,
) -> Iterator[tuple[str, int, Iterable[int]]]:
    """(origin, quota, items in the order to take them); the last source fills what the others left open."""
    if which == "A":
        yield "same_category", candidates.same_category, _same_category(rng, pool, gt, enough)
        yield "neighbour", candidates.neighbours, _neighbours(rng, pool, history)
        yield "popularity_matched", candidates.popularity_matched, _popularity_matched(rng, pool, gt, enough)
    yield "random", candidates.count, _some(rng, len(pool.ids), enough).tolist()


def _same_category(rng: np.random.Generator, pool: Pool, gt: int, enough: int) -> Iterator[int]:
    """Items of the truth's categories, uniform: drawn from its shelves laid end to end, where an item counts only on
    the first of them that holds it."""
    names = sorted(pool.categories[gt])
    if not names:
        return
    ends = np.cumsum([len(pool.with_category[name]) for name in names])
    places = _some(rng, int(ends[-1]), 2 * enough * len(names))
    for shelf, place in zip(np.searchsorted(ends, places, side="right").tolist(), places, strict=True):
        item = int(pool.with_category[names[shelf]][place - ends[shelf]])  # counted from the shelf's end
        if pool.categories[item].isdisjoint(names[:shelf]):
            yield item


def _neighbours(rng: np.random.Generator, pool: Pool, history: list[str]) -> list[int]:
    """What training users touched together with the history, the most often first, equals in random order."""
    table = pool.together
    spans = [slice(table.indptr[row], table.indptr[row + 1]) for row in (pool.source_position[i] for i in history)]
    if not spans:
        return []
    items, where = np.unique(np.concatenate([table.indices[span] for span in spans]), return_inverse=True)
    strength = np.bincount(where, weights=np.concatenate([table.data[span] for span in spans]))
    return items[np.lexsort((rng.random(len(items)), -strength))].tolist()


def _popularity_matched(rng: np.random.Generator, pool: Pool, gt: int, enough: int) -> list[int]:
    """The items next to the truth in the order of popularity, the nearest first."""
    rank = int(pool.popularity_rank[gt])
    window = np.arange(max(0, rank - enough), min(len(pool.ids), rank + enough + 1))
    return pool.by_popularity[window[np.lexsort((rng.random(len(window)), np.abs(window - rank)))]].tolist()


def _some(rng: np.random.Generator, population: int, wanted: int) -> np.ndarray:
    """`wanted` different numbers below `population`, or all, in random order."""
    return rng.choice(population, min(wanted, population), replace=False)
