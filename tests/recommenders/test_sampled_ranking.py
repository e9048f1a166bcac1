"""Sampled evaluation: the distribution of negatives, and that all items as negatives give the full ranking."""

import tracemalloc

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models import item_knn
from kitrec.recommenders.models.params import ItemKNN
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.ranking.sampled import sample_negatives, sampled_metrics
from tests.recommenders.made_models import ITEMS, KINDS, made_model, made_sequences


def test_negatives_are_distinct_outside_the_history_and_fixed_by_the_seed():
    histories, weights = made_sequences(300), np.ones(ITEMS)
    sampled = sample_negatives(np.random.default_rng(1), histories, weights, count=10)
    assert sampled.min() >= 1 and sampled.max() <= ITEMS
    assert all(
        len(set(items)) == 10 and not set(items) & set(histories[user]) for user, items in enumerate(sampled.tolist())
    )
    assert (sampled == sample_negatives(np.random.default_rng(1), histories, weights, count=10)).all()


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [1, 2, 0, 5, 4]])
def test_negatives_are_sampled_in_proportion_to_the_remaining_weights(weights):
    users = 20_000
    sampled = sample_negatives(
        np.random.default_rng(0), sequences_from_lists([[4]] * users), np.array(weights), count=1
    )
    remaining = np.array(weights) * [1, 1, 1, 0, 1]
    expected = remaining / remaining.sum()
    shares = np.bincount(sampled[:, 0] - 1, minlength=5) / users
    assert (np.abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / users)).all()


def test_sampling_is_without_replacement():
    """Weights 3, 2, 1: both of the first two come with 3/6 * 2/3 + 2/6 * 3/4 = 7/12."""
    sampled = sample_negatives(
        np.random.default_rng(0), sequences_from_lists([[4]] * 20_000), np.array([3, 2, 1, 9]), count=2
    )
    both = (np.sort(sampled, axis=1) == [1, 2]).all(1).mean()
    assert both == pytest.approx(7 / 12, abs=4 * np.sqrt(7 / 12 * 5 / 12 / 20_000))


def test_too_few_items_to_sample_from_are_refused():
    with pytest.raises(InputError, match="only 2 items left to sample 3 negatives from"):
        sample_negatives(np.random.default_rng(0), sequences_from_lists([[1, 2]]), np.array([1, 1, 1, 0, 1]), count=3)


def test_what_the_draws_leave_missing_is_sampled_in_proportion_too():
    """Nearly all weight is on items 1 and 2, chosen at once: the third is 3, 4 or 5 with 1/6, 1/3, 1/2."""
    users, weights = 6_000, np.array([1e15, 1e15, 1, 2, 3])
    sampled = sample_negatives(np.random.default_rng(0), sequences_from_lists([[]] * users), weights, count=3)
    assert (np.sort(sampled[:, :2], axis=1) == [1, 2]).all()
    expected = np.array([1, 2, 3]) / 6
    shares = np.bincount(sampled[:, 2] - 3, minlength=3) / users
    assert (np.abs(shares - expected) <= 4 * np.sqrt(expected * (1 - expected) / users)).all()


def test_negatives_of_many_items_need_no_table_of_users_by_items():
    items, users = 1_000_000, 2_000
    histories, weights = made_sequences(users, items=items), np.ones(items)
    tracemalloc.start()
    sampled = sample_negatives(np.random.default_rng(0), histories, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < users * items / 10  # bytes
    assert all(len(set(row)) == 100 for row in sampled.tolist())


def test_item_knn_gives_few_candidates_the_scores_of_all_items(monkeypatch):
    histories, rng = made_sequences(60, seed=2), np.random.default_rng(0)
    model, users = (
        item_knn.fit(histories, ITEMS, ItemKNN(kind="item_knn", neighbours=8, shrink=1.0)),
        UserHistories(histories),
    )
    candidates = rng.integers(1, ITEMS + 1, (60, 4))
    whole = model.candidate_scores(users, candidates)
    monkeypatch.setattr(item_knn, "FEW", 1)
    assert (model.candidate_scores(users, candidates) == whole).all() and (whole > 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_all_other_items_as_negatives_give_the_full_ranking(kind):
    model, rng = made_model(kind), np.random.default_rng(0)
    sequences = sequences_from_lists(rng.permutation(ITEMS)[:6] + 1 for _ in range(50))
    histories, targets = sequences.without_last(), sequences.last()
    negatives = sample_negatives(rng, sequences, np.ones(ITEMS), count=ITEMS - 6)
    expected = mean_metrics(*ranks(model, histories, targets))
    assert sampled_metrics(model, histories, targets, negatives) == pytest.approx(expected, abs=1e-9)
