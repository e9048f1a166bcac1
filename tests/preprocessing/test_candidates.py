import numpy as np
import polars as pl
import pytest
from scipy import stats

from kitrec.core.errors import InputError
from kitrec.preprocessing.candidates import build_pool, draw_candidates
from kitrec.preprocessing.params import Candidates
from tests.conftest import CANDIDATES


def all_records(dataset, candidate_set):
    return pl.concat(list(dataset.records[candidate_set].values()))


def test_lists_hold_the_ground_truth_once_among_unique_items_without_interaction(world, dataset):
    interacted = {key[0]: set(rows["item_id"]) for key, rows in world.interactions.group_by("user_id")}
    domain = dict(world.items.select("item_id", "domain").iter_rows())
    for candidate_set in "AB":
        for r in all_records(dataset, candidate_set).iter_rows(named=True):
            assert len(set(r["candidate_ids"])) == len(r["candidate_ids"]) == CANDIDATES.count
            negatives = set(r["candidate_ids"]) - {r["gt_item_id"]}
            assert len(negatives) == CANDIDATES.count - 1
            assert not negatives & interacted[r["user_id"]]
            assert {domain[i] for i in r["candidate_ids"]} == {r["target"]}
            assert r["candidate_origins"][r["candidate_ids"].index(r["gt_item_id"])] == "truth"


def test_set_a_has_the_configured_mix_and_records_the_origins(world, dataset):
    categories = dict(world.items.select("item_id", "categories").iter_rows())
    for r in all_records(dataset, "A").iter_rows(named=True):
        origins = dict(zip(r["candidate_ids"], r["candidate_origins"], strict=True))
        same = [i for i, o in origins.items() if o == "same_category"]
        truth = set(categories[r["gt_item_id"]])
        assert all(truth & set(categories[i]) for i in same)
        assert len(same) == (CANDIDATES.same_category if truth else 0)
        assert sum(o == "popularity_matched" for o in origins.values()) == CANDIDATES.popularity_matched
        assert sum(o == "neighbour" for o in origins.values()) <= CANDIDATES.neighbours


def test_set_b_has_random_negatives_only(dataset):
    assert set(all_records(dataset, "B")["candidate_origins"].explode()) == {"truth", "random"}


def test_the_position_of_the_ground_truth_is_uniform(dataset):
    positions = [
        r["candidate_ids"].index(r["gt_item_id"])
        for candidate_set in "AB"
        for r in all_records(dataset, candidate_set).iter_rows(named=True)
    ]
    counts = np.bincount(positions, minlength=CANDIDATES.count)
    assert stats.chisquare(counts).pvalue > 0.001


def test_hard_negatives_come_from_training_users_alone(dataset):
    """Neighbours of a list are items that training users interacted with together with the shown history."""
    training = pl.concat([dataset.interactions["train"], dataset.interactions["development"]]).filter(
        ~pl.col("held_out")
    )
    users_of: dict[str, set[str]] = {}
    for user, item in training.select("user_id", "item_id").iter_rows():
        users_of.setdefault(item, set()).add(user)
    for r in dataset.records["A"]["test"].iter_rows(named=True):
        history = set().union(*(users_of.get(i, set()) for i in r["source_items"] + r["target_items"]))
        for item, origin in zip(r["candidate_ids"], r["candidate_origins"], strict=True):
            assert origin != "neighbour" or users_of.get(item, set()) & history


def made_pool(n: int):
    items = pl.DataFrame({"domain": ["movies"] * n, "item_id": [f"m{k}" for k in range(n)], "categories": [["X"]] * n})
    return build_pool(1, items, "movies", pl.DataFrame({"user_id": ["u"], "item_id": ["m0"]}))


def test_a_list_depends_on_its_own_record_alone():
    mix = Candidates(count=5, same_category=1, neighbours=1, popularity_matched=1)
    first = draw_candidates(1, mix, made_pool(30), "A", "u1", "m3", set(), ["m0"])
    draw_candidates(1, mix, made_pool(30), "A", "u2", "m3", set(), ["m0"])
    assert draw_candidates(1, mix, made_pool(30), "A", "u1", "m3", set(), ["m0"]) == first
    assert draw_candidates(2, mix, made_pool(30), "A", "u1", "m3", set(), ["m0"]) != first


def test_too_few_items_is_an_error():
    mix = Candidates(count=10, same_category=0, neighbours=0, popularity_matched=0)
    with pytest.raises(InputError, match="10 asked for, 8 items are left"):
        draw_candidates(1, mix, made_pool(9), "B", "u", "m3", {"m0", "m3"}, [])


def test_an_item_of_two_shared_categories_is_as_frequent_as_an_item_of_one():
    names = [["X", "Y"], ["X", "Y"], ["X"], ["Y"], *[["Z"]] * 6]
    items = pl.DataFrame({"domain": ["movies"] * 10, "item_id": [f"m{k}" for k in range(10)], "categories": names})
    pool = build_pool(1, items, "movies", pl.DataFrame({"user_id": ["u"], "item_id": ["m0"]}))
    mix = Candidates(count=2, same_category=1, neighbours=0, popularity_matched=0)
    drawn = [draw_candidates(1, mix, pool, "A", f"u{k}", "m0", set(), []) for k in range(3000)]
    counts = [sum(f"m{k}" in ids for ids, _ in drawn) for k in (1, 2, 3)]
    assert {origin for _, origins in drawn for origin in origins} == {"truth", "same_category"}
    assert sum(counts) == 3000 and stats.chisquare(counts).pvalue > 0.001


def test_random_negatives_are_uniform_in_a_large_catalogue():
    mix = Candidates(count=51, same_category=0, neighbours=0, popularity_matched=0)
    pool = made_pool(20_000)
    drawn = [int(i[1:]) for k in range(200) for i in draw_candidates(1, mix, pool, "B", f"u{k}", "m7", {"m3"}, [])[0]]
    negatives = np.array([k for k in drawn if k != 7])
    assert len(negatives) == 200 * 50 and 3 not in drawn
    assert stats.chisquare(np.histogram(negatives, bins=20, range=(0, 20_000))[0]).pvalue > 0.001


def test_popularity_matched_items_are_nearest_in_rank():
    """Counts 0, 1, 2, ... 29: the ground truth has 10, so its four nearest have 8, 9, 11 and 12."""
    rows = [(f"u{n}", f"m{k}") for k in range(30) for n in range(k)]
    items = pl.DataFrame(
        {"domain": ["movies"] * 30, "item_id": [f"m{k}" for k in range(30)], "categories": [["X"]] * 30}
    )
    pool = build_pool(1, items, "movies", pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))
    mix = Candidates(count=6, same_category=0, neighbours=0, popularity_matched=4)
    ids, origins = draw_candidates(1, mix, pool, "A", "me", "m10", set(), [])
    near = {i for i, origin in zip(ids, origins, strict=True) if origin == "popularity_matched"}
    assert near == {"m8", "m9", "m11", "m12"}


def test_neighbours_co_occur_most_often_with_the_history():
    """Three users of m0 have m5, two have m6, one has m7."""
    rows = [(f"r{n}", "m0") for n in range(3)] + [("r0", "m5"), ("r1", "m5"), ("r2", "m5"), ("r0", "m6"), ("r1", "m6")]
    rows += [("r0", "m7"), ("stranger", "m8")]
    items = pl.DataFrame(
        {"domain": ["movies"] * 30, "item_id": [f"m{k}" for k in range(30)], "categories": [["X"]] * 30}
    )
    pool = build_pool(1, items, "movies", pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))
    mix = Candidates(count=9, same_category=0, neighbours=2, popularity_matched=0)
    ids, origins = draw_candidates(1, mix, pool, "A", "me", "m20", {"m0"}, ["m0"])
    assert {i for i, o in zip(ids, origins, strict=True) if o == "neighbour"} == {"m5", "m6"}
