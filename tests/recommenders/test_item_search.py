"""The search for the best items against a table of all scores in numpy: the same items, ties in order, exclusions."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking import item_search
from kitrec.recommenders.ranking.item_search import ItemSearch
from kitrec.recommenders.ranking.removed_items import RemovedItems, distinct_pairs
from kitrec.recommenders.ranking.top_k import predict
from kitrec.recommenders.storage import StoredModel
from tests.recommenders.made_models import made_model, made_sequences

USERS, ITEMS, WIDTH = 60, 20_000, 12


def vectors(kind: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, weight and bias; whole numbers make most of the best scores equal."""
    g = torch.Generator().manual_seed(3)
    states, weight = torch.randn(USERS, WIDTH, generator=g), torch.randn(ITEMS, WIDTH, generator=g)
    bias = torch.randn(ITEMS, generator=g)
    if kind == "ties":
        return states.mul(2).round(), weight.mul(2).round(), bias.round()
    if kind == "negative":
        return states, weight, bias - 100
    return (torch.zeros_like(states), weight, torch.zeros_like(bias)) if kind == "zero" else (states, weight, bias)


def removals(search: ItemSearch, users: np.ndarray, items: np.ndarray, excluded: np.ndarray) -> RemovedItems:
    nobody = torch.arange(search.padded) >= search.items
    nobody[torch.from_numpy(excluded)] = True
    return RemovedItems(nobody, *distinct_pairs(users, items, USERS))


@pytest.mark.parametrize("k", [1, 10, 60])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kind", ["random", "ties", "negative", "zero"])
def test_the_best_items_are_those_of_a_whole_table(kind, dtype, k, monkeypatch):
    monkeypatch.setattr(item_search, "_coarse_dtype", lambda _: dtype)
    states, weight, bias = vectors(kind)
    search, rng = ItemSearch(weight, bias), np.random.default_rng(0)
    users, items = rng.integers(0, USERS, 3000), rng.integers(0, ITEMS, 3000)
    excluded = rng.choice(ITEMS, 500, replace=False)
    table = (states @ weight.T + bias).numpy()
    table[users, items] = table[:, excluded] = -np.inf
    best, scores = search.best(states, k, removals(search, users, items, excluded))
    expected = np.argsort(-table, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(table, expected, axis=1)
    if kind in ("ties", "zero"):
        assert (best == expected + 1).all() and (scores == values).all()
    else:  # sums in another order differ in the last bits
        assert np.allclose(scores, values, atol=1e-4)
        assert np.allclose(np.take_along_axis(table, best - 1, axis=1), values, atol=1e-4)


@pytest.mark.parametrize("left", [1, 5, 2000, 4000])
def test_users_whose_items_lie_in_few_sets_keep_them(left):
    """All but the first items are removed for some users, as by years where old items have the first numbers."""
    states, weight, bias = vectors("random")
    search, late = ItemSearch(weight, bias), np.arange(5)
    users, items = np.repeat(late, ITEMS - left), np.tile(np.arange(left, ITEMS), len(late))
    best, scores = search.best(states, 10, removals(search, users, items, np.empty(0, dtype=np.int64)))
    for user in late:
        table = (states[user] @ weight[:left].T + bias[:left]).numpy()
        expected = np.sort(table)[::-1][:10]
        assert np.allclose(scores[user, : len(expected)], expected, atol=1e-4)
        assert np.isneginf(scores[user, len(expected) :]).all() and best[user, : len(expected)].max() <= left


def test_fewer_items_than_k_end_in_minus_infinity():
    search = ItemSearch(torch.eye(3))
    removed = RemovedItems(torch.arange(search.padded) != 1, np.empty(0, np.int64), np.empty(0, np.int64))
    best, scores = search.best(torch.ones(2, 3), 10, removed)
    assert best[:, 0].tolist() == [2, 2] and np.isneginf(scores[:, 1:]).all() and scores.shape == (2, 3)


@pytest.mark.parametrize("few", [0, item_search.FEW])
def test_years_exclude_and_count_as_in_a_whole_table(few, monkeypatch):
    """Cold users too, who get the popular items."""
    monkeypatch.setattr(item_search, "FEW", few)
    items, rng = 9000, np.random.default_rng(1)
    stored = StoredModel(
        made_model("sasrec", items), Vocabulary(f"i{k:05}" for k in range(items)), rng.permutation(items + 1), {}
    )
    stored.popularity[0] = 0
    sequences = made_sequences(40, items=items)
    histories = sequences_from_lists([*(sequences[user] for user in range(40)), [], []])
    years = np.concatenate([[np.nan], rng.integers(1990, 2010, items).astype(float)])
    years[rng.integers(1, items, 500)] = np.nan
    last_years = rng.integers(1989, 2010, 42).astype(float)
    excluded, by_user = rng.integers(1, items, 200), made_sequences(42, seed=8, items=items)
    top = predict(stored, histories, 7, excluded, years, last_years, by_user)
    table = np.tile(stored.popularity[1:].astype(np.float32), (42, 1))
    table[:40] = stored.all_scores(sequences)
    for removed in (histories, by_user):
        table[removed.users, removed.items - 1] = -np.inf
    table[:, excluded - 1] = -np.inf
    future = (years[None, 1:] > last_years[:, None]) & np.isfinite(table)
    assert (top.future_items, top.users_with_future_items) == (future.sum(), future.any(1).sum())
    table[future] = -np.inf
    expected = np.argsort(-table, axis=1, kind="stable")[:, :7]
    assert top.items == [stored.vocabulary.ids(row + 1) for row in expected]


class _Largest(TorchDispatchMode):
    """Records the largest tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        tensors = [made] if isinstance(made, torch.Tensor) else made if isinstance(made, list | tuple) else []
        self.elements = max([self.elements, *(t.numel() for t in tensors if isinstance(t, torch.Tensor))])
        return made


def test_no_table_of_users_by_items_is_made():
    items, users = 200_000, 600
    g = torch.Generator().manual_seed(0)
    search, states = ItemSearch(torch.randn(items, 8, generator=g)), torch.randn(users, 8, generator=g)
    removed = RemovedItems(torch.arange(search.padded) >= items, np.empty(0, np.int64), np.empty(0, np.int64))
    with _Largest() as largest:
        search.best(states, 10, removed)
    assert largest.elements <= users * items / 10
    assert search.users_at_once(10) == item_search.CHUNK
    assert search.users_at_once(1000) * search.padded <= item_search.TABLE
