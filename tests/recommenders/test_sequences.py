"""Histories and sequences of the interactions, and the scores of test records."""

import numpy as np
import polars as pl
import pytest
import torch

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.sequences import leave_one_out, sequences_from_lists, sequences_from_rows
from kitrec.recommenders.data.user_histories import ground_truth_items, histories, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.storage import StoredModel
from kitrec.schemas.rankings import from_scores
from tests.recommenders.made_models import (
    ITEMS,
    made_model,
)

INTERACTIONS = pl.DataFrame(
    [
        ("u1", "books", "b1", 10, False),
        ("u1", "movies", "m1", 20, False),
        ("u1", "books", "b2", 30, False),
        ("u1", "music", "c1", 35, True),
        ("u1", "movies", "m2", 40, True),
        ("u2", "books", "b3", 10, False),
        ("u2", "music", "c2", 50, True),
    ],
    schema=["user_id", "domain", "item_id", "time", "held_out"],
    orient="row",
)


def lists(sequences, vocabulary):
    return [vocabulary.ids(sequences[user]) for user in range(len(sequences))]


def test_a_user_of_two_targets_has_a_row_of_each_with_that_target_and_the_books():
    users, vocabulary = user_targets(INTERACTIONS), Vocabulary(INTERACTIONS["item_id"])
    assert users.rows() == [("u1", "movies"), ("u1", "music"), ("u2", "music")]
    both = histories(INTERACTIONS, users, "both", vocabulary)
    assert lists(both, vocabulary) == [["b1", "m1", "b2"], ["b1", "b2"], ["b3"]]
    target_only = histories(INTERACTIONS, users, "target", vocabulary)
    assert lists(target_only, vocabulary) == [["m1"], [], []]
    training = training_sequences(INTERACTIONS, users, "both", vocabulary)
    assert lists(training, vocabulary) == [["b1", "m1", "b2", "m2"], ["b1", "b2", "c1"], ["b3", "c2"]]
    assert vocabulary.ids(ground_truth_items(INTERACTIONS, users, vocabulary)) == ["m2", "c1", "c2"]


def test_items_outside_the_vocabulary_are_left_out():
    vocabulary = Vocabulary(["b1", "m2"])
    assert lists(histories(INTERACTIONS, user_targets(INTERACTIONS), "both", vocabulary), vocabulary) == [
        ["b1"],
        ["b1"],
        [],
    ]
    assert ground_truth_items(INTERACTIONS, user_targets(INTERACTIONS), vocabulary).tolist() == [2, 0, 0]


def records(candidates):
    return pl.DataFrame(
        {
            "record_id": [f"r{k}" for k in range(3)],
            "user_id": ["u1", "u1", "u2"],
            "target": ["movies", "music", "music"],
            "candidate_ids": candidates,
            "candidate_hash": ["h"] * 3,
        }
    )


def test_unknown_candidates_rank_last_and_users_without_a_history_get_popularity():
    vocabulary = Vocabulary(["b1", "b2", "c1", "c2", "m1", "m2"])
    popularity = np.array([0, 0, 0, 5, 9, 2, 1], dtype=np.float32)
    stored = StoredModel(made_model("sasrec", items=6), vocabulary, popularity, {})
    test_records = records([["m1", "new", "m2"], ["c1", "c2", "x"], ["y", "c1", "c2"]])
    scored = score_records(stored, test_records, INTERACTIONS, "target")
    expected = {"n": 3, "ranked_by_popularity": 2, "unknown_candidates": round(3 / 9, 6), "unknown_history": 0.0}
    assert scored.metrics() == expected
    both = score_records(stored, test_records, INTERACTIONS, "both").metrics()  # b1 b2 m1, b1 b2, and the unknown b3
    assert both["unknown_history"] == round(1 / 6, 6) and both["ranked_by_popularity"] == 1
    ranked = from_scores("sasrec", test_records, scored.scores)["item_ids"].to_list()
    assert [items[-1] for items in ranked] == ["new", "x", "y"]
    assert ranked[1][:2] == ["c2", "c1"] and ranked[2][:2] == ["c2", "c1"]


def test_records_may_have_different_numbers_of_candidates():
    vocabulary = Vocabulary(["b1", "b2", "b3", "c1", "c2", "m1", "m2"])
    stored = StoredModel(made_model("sasrec", items=7), vocabulary, np.zeros(8, dtype=np.float32), {})
    test_records = records([["m1"], ["c1", "c2"], ["c2", "c1", "m2", "b1"]])
    assert [len(row) for row in score_records(stored, test_records, INTERACTIONS, "both").scores] == [1, 2, 4]


def test_leave_one_out_assigns_each_item_once():
    split = leave_one_out(sequences_from_lists([[1, 2, 3, 4], [5, 6], [7, 8, 9]]))
    assert split.test.tolist() == [4, 9] and split.validation.tolist() == [3, 8]
    assert [history.tolist() for history in (split.before_test[0], split.before_validation[0])] == [[1, 2, 3], [1, 2]]
    assert [split.train[user].tolist() for user in range(3)] == [[1, 2], [7], [5, 6]]


def test_sequences_are_cut_extended_and_taken_like_lists():
    rng = np.random.default_rng(0)
    lists = [rng.integers(1, 9, size=n).tolist() for n in (3, 1, 5, 2)]
    sequences, order = sequences_from_lists(lists), np.array([2, 0, 2])
    assert [s.tolist() for s in sequences.take(order)] == [lists[2], lists[0], lists[2]]
    assert [s.tolist() for s in sequences.newest(2)] == [s[-2:] for s in lists]
    assert [s.tolist() for s in sequences.without_last(2)] == [s[:-2] for s in lists]
    assert [s.tolist() for s in sequences.extended(9)] == [[*s, 9] for s in lists]
    assert sequences.without_last(1).last().tolist() == [lists[0][1], 0, lists[2][3], lists[3][0]]


def test_a_user_without_rows_has_an_empty_sequence():
    assert sequences_from_rows(np.array([0, 0, 2]), np.array([4, 5, 6]), 4).lengths.tolist() == [2, 0, 1, 0]


def test_mean_metrics_equal_values_computed_by_hand():
    """Ranks 1, 3 and a tie over 2-3 whose expectation is the mean of both."""
    metrics = mean_metrics(np.array([0, 2, 1]), np.array([1, 1, 2]), depth=2)
    assert metrics["hit@2"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert metrics["ndcg@2"] == pytest.approx((1 + 0 + 0.5 / np.log2(3)) / 3)
    assert metrics["mrr"] == pytest.approx((1 + 1 / 3 + (1 / 2 + 1 / 3) / 2) / 3)


def test_equal_scores_tie_all_items_outside_the_history():
    model = made_model("sasrec")
    with torch.no_grad():
        model.items.weight.zero_()
    better, equal = ranks(model, sequences_from_lists([[1, 2, 3]]), np.array([7]))
    assert (better[0], equal[0]) == (0, ITEMS - 3)
