"""Sampled evaluation: the distribution of negatives, and that all items as negatives give the full ranking."""

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.sequences import sequences_from_lists
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


@pytest.mark.parametrize("kind", KINDS)
def test_all_other_items_as_negatives_give_the_full_ranking(kind):
    model, rng = made_model(kind), np.random.default_rng(0)
    sequences = sequences_from_lists(rng.permutation(ITEMS)[:6] + 1 for _ in range(50))
    histories, targets = sequences.without_last(), sequences.last()
    negatives = sample_negatives(rng, sequences, np.ones(ITEMS), count=ITEMS - 6)
    expected = mean_metrics(*ranks(model, histories, targets))
    assert sampled_metrics(model, histories, targets, negatives) == pytest.approx(expected, abs=1e-9)
