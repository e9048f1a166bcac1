"""Coverage, Gini, novelty and diversity: against figures by hand, every order of ties, and scikit-learn's Jaccard."""

from itertools import combinations, permutations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import pairwise_distances

from kitrec.evaluation.beyond_accuracy import beyond_accuracy, category_matrix, diversities, gini, top_weights
from kitrec.evaluation.bootstrap import Resampling

RESAMPLING = Resampling(100, 1)
CATEGORIES = {"a": ["x"], "b": ["x", "y"], "c": ["z"], "d": []}


def measures(lists: dict[str, list[tuple[list[str], list[float]]]], bought: list[tuple[str, str]]) -> dict:
    """The measures of the first two items of lists: of each method, items and scores of records R0, R1, ..."""
    rows = [
        {"method": method, "record_id": f"R{k}", "kind": kind, "item_ids": items, "scores": scores}
        for method, made in lists.items()
        for k, (items, scores) in enumerate(made)
        for kind in ("scored", "written")
    ]
    count = max(map(len, lists.values()))
    records = pl.DataFrame({"record_id": [f"R{k}" for k in range(count)], "user_id": [f"U{k}" for k in range(count)]})
    items = pl.DataFrame({"item_id": list(CATEGORIES), "categories": list(CATEGORIES.values())})
    interactions = pl.DataFrame(bought, schema=["user_id", "item_id"], orient="row")
    return beyond_accuracy(pl.DataFrame(rows), records, items, interactions, RESAMPLING, k=2)


def test_two_lists_by_hand():
    # lists of two: (a, b) and (b, c); three training users: a had by 3, b by 1 (twice), c by none, d by none
    bought = [("t1", "a"), ("t2", "a"), ("t3", "a"), ("t1", "b"), ("t1", "b")]
    lists = [(["a", "b", "c", "d"], [4.0, 3.0, 2.0, 1.0]), (["b", "c", "d", "a"], [4.0, 3.0, 2.0, 1.0])]
    result = measures({"m": lists}, bought)
    assert (result["lists"], result["items"], result["training_users"]) == (2, 4, 3)
    m = result["methods"]["m"]
    assert m["coverage"] == 3 / 4  # d is shown to nobody
    # exposure 0, 1, 1, 2: (-3*0 - 1*1 + 1*1 + 3*2) / (4 * 4)
    assert m["gini"] == pytest.approx(6 / 16)
    # a: -log2(4/4) = 0, b: -log2(2/4) = 1, c: -log2(1/4) = 2
    assert m["novelty"] == pytest.approx((0.5 + 1.5) / 2)
    # a and b share one of two categories: 1/2; b and c share none: 1
    assert m["diversity"] == pytest.approx(0.75)
    assert m["novelty_low"] <= m["novelty"] <= m["novelty_high"]


def test_items_that_tie_count_by_their_chance():
    tied = [(["a", "b", "c", "d"], [1.0, 1.0, 1.0, 1.0])] * 2
    m = measures({"m": tied}, [("t1", "a")])["methods"]["m"]
    assert m["coverage"] == pytest.approx(1 - 0.5**2) and m["gini"] == 0
    # pairs of a, b, c alone (d has no category): (1/2 + 1 + 1) / 3
    assert m["diversity"] == pytest.approx(2.5 / 3)


def test_lists_without_categories_have_no_diversity_and_still_count():
    m = measures({"m": [(["d", "c"], [2.0, 1.0])]}, [("t1", "a")])["methods"]["m"]
    assert m["diversity"] is None and m["diversity_low"] is None and m["coverage"] == 1


def test_weights_are_the_shares_of_all_orders_of_the_ties():
    scores = np.array([3.0, 2.0, 2.0, 2.0, 1.0, 1.0])
    orders = [order for order in permutations(range(6)) if all(np.diff(scores[list(order)]) <= 0)]
    for k in (1, 2, 3, 4, 5, 6):
        tops = [set(order[:k]) for order in orders]
        weights, pairs = top_weights(scores[None], k)
        assert weights[0] == pytest.approx([np.mean([i in top for top in tops]) for i in range(6)])
        for i, j in combinations(range(6), 2):
            assert pairs[0, i, j] == pairs[0, j, i] == pytest.approx(np.mean([{i, j} <= top for top in tops]))


def test_gini_is_the_mean_difference_of_all_pairs_by_twice_the_mean():
    exposure = np.random.default_rng(3).integers(0, 30, 50).astype(float)
    differences = np.abs(exposure[:, None] - exposure[None]).mean()
    assert gini(exposure) == pytest.approx(differences / (2 * exposure.mean()))
    assert gini(np.full(7, 3.0)) == 0 and gini(np.array([0.0, 0.0, 0.0, 5.0])) == pytest.approx(3 / 4)


def test_distances_are_scikit_learns_jaccard():
    rng = np.random.default_rng(5)
    categories = (rng.random((1, 9, 6)) < 0.4).astype(np.float32)
    categories[0, :, 0] = 1  # every item has one
    pairs = np.triu(np.ones((1, 9, 9)), 1)
    jaccard = pairwise_distances(categories[0].astype(bool), metric="jaccard")
    assert diversities(pairs, categories)[0] == pytest.approx(jaccard[np.triu_indices(9, 1)].mean())


def test_categories_become_columns_and_unknown_items_have_none():
    ids = pl.Series(["a", "b", "d", "zz"])
    items = pl.DataFrame({"item_id": list(CATEGORIES), "categories": list(CATEGORIES.values())})
    assert category_matrix(ids, items).tolist() == [[1, 0], [1, 1], [0, 0], [0, 0]]
