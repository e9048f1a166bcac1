"""The statistics of the difficulty report, by hand and by properties."""

import numpy as np
import polars as pl
import pytest

from kitrec.preprocessing.difficulty import difficulty_report

ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "h"],
        "title": ["red fox", "red fox", "blue", None, "book"],
        "categories": [["X", "Y"], ["X", "Y"], ["Y", "Z"], [], ["B"]],
        "description": [None] * 5,
        "has_metadata": [True, True, True, False, True],
    },
    schema_overrides={"description": pl.String},
)
RECORDS = pl.DataFrame(
    {
        "candidate_ids": [["a", "b", "c", "d"]],
        "gt_item_id": ["a"],
        "source_items": [["h"]],
        "target_items": [[]],
    },
    schema_overrides={"target_items": pl.List(pl.String)},
)
PAST = pl.DataFrame({"user_id": ["u", "u", "v", "v", "w"], "item_id": ["h", "a", "h", "c", "c"]})


@pytest.fixture(scope="module")
def statistics():
    return difficulty_report(RECORDS, ITEMS, PAST)


def test_overlap_of_categories_is_jaccard(statistics):
    assert statistics["category_overlap"] == pytest.approx((1 + 1 / 3 + 0) / 3, abs=1e-4)


def test_equal_texts_have_cosine_one(statistics):
    y, x, red = 1 + np.log(5 / 3), 1 + np.log(5 / 2), 1 + np.log(5 / 2)
    blue = z = 1 + np.log(5)
    a, c = [red, red, x, y], [blue, y, z]  # red and fox occur in two items each
    cosine = y * y / np.sqrt(np.dot(a, a) * np.dot(c, c))
    assert statistics["text_similarity"] == pytest.approx((1 + cosine + 0) / 3, abs=1e-4)
    assert statistics["lists_with_same_text"] == 1


def test_the_popularity_percentile_of_the_ground_truth(statistics):
    # a: 1, b: 0, c: 2, d: 0
    assert statistics["truth_popularity_percentile"] == pytest.approx(2 / 3, abs=1e-4)


def test_floors_of_short_lists_are_one(statistics):
    assert statistics["floor_random_hit@10"] == statistics["floor_popularity_hit@10"] == 1.0


def test_set_a_is_harder_than_set_b(dataset, world):
    a, b = (
        difficulty_report(pl.concat(list(dataset.records[s].values())), world.items, dataset.training_history)
        for s in "AB"
    )
    assert a["category_overlap"] > b["category_overlap"] and a["text_similarity"] > b["text_similarity"]
    assert a["floor_popularity_hit@10"] < b["floor_popularity_hit@10"]
    assert a["floor_random_hit@10"] == b["floor_random_hit@10"] == 0.5
    assert min(a["truth_position_p"], b["truth_position_p"]) > 1e-4


def test_item_knn_ranks_by_shared_users():
    """h has users u and v, a has u, c has v and w: cos(a, h) = 1/sqrt(2) > cos(c, h) = 1/2."""
    many = pl.DataFrame({"item_id": [f"z{k}" for k in range(20)]}).with_columns(
        title=pl.col("item_id"),
        categories=pl.lit([], dtype=pl.List(pl.String)),
        description=pl.lit(None, pl.String),
        has_metadata=pl.lit(True),
    )
    items = pl.concat([ITEMS, many.select(ITEMS.columns)])
    lists = [["c", "a", *many["item_id"].to_list()]]
    records = RECORDS.with_columns(candidate_ids=pl.Series(lists))
    past = pl.concat([PAST, pl.DataFrame({"user_id": ["x"] * 20, "item_id": many["item_id"]})])
    statistics = difficulty_report(records, items, past)
    assert statistics["floor_item_knn_hit@10"] == 1.0
    assert statistics["floor_popularity_hit@10"] == pytest.approx(9 / 21, abs=1e-4)  # c first, a among 21 equals
