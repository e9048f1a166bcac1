"""Sampled evaluation: who is drawn, how often, and that all items as negatives are the full ranking."""

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.ranking.sampled import sample_negatives, sampled_metrics
from tests.recommenders.made_models import ITEMS, KINDS, made_model, made_sequences


def test_negatives_are_different_untouched_and_the_seed_decides():
    touched, weights = made_sequences(300), np.ones(ITEMS)
    drawn = sample_negatives(np.random.default_rng(1), touched, weights, count=10)
    assert drawn.min() >= 1 and drawn.max() <= ITEMS
    assert all(len(set(own)) == 10 and not set(own) & set(touched[user]) for user, own in enumerate(drawn.tolist()))
    assert (drawn == sample_negatives(np.random.default_rng(1), touched, weights, count=10)).all()


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [1, 2, 0, 5, 4]])
def test_shares_are_those_of_the_weights_among_what_is_left(weights):
    users = 20_000
    drawn = sample_negatives(np.random.default_rng(0), sequences_from_lists([[4]] * users), np.array(weights), count=1)
    left = np.array(weights) * [1, 1, 1, 0, 1]
    expected = left / left.sum()
    found = np.bincount(drawn[:, 0] - 1, minlength=5) / users
    assert (np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / users)).all()


def test_the_second_draw_is_from_what_the_first_left():
    """Weights 3, 2, 1: both of the first two come with 3/6 * 2/3 + 2/6 * 3/4 = 7/12."""
    drawn = sample_negatives(
        np.random.default_rng(0), sequences_from_lists([[4]] * 20_000), np.array([3, 2, 1, 9]), count=2
    )
    both = (np.sort(drawn, axis=1) == [1, 2]).all(1).mean()
    assert both == pytest.approx(7 / 12, abs=4 * np.sqrt(7 / 12 * 5 / 12 / 20_000))


def test_too_few_items_are_told():
    with pytest.raises(InputError, match="only 2 items left to sample 3 negatives from"):
        sample_negatives(np.random.default_rng(0), sequences_from_lists([[1, 2]]), np.array([1, 1, 1, 0, 1]), count=3)


@pytest.mark.parametrize("kind", KINDS)
def test_all_untouched_items_as_negatives_are_the_full_ranking(kind):
    model, rng = made_model(kind), np.random.default_rng(0)
    whole = sequences_from_lists(rng.permutation(ITEMS)[:6] + 1 for _ in range(50))
    histories, truths = whole.without_last(), whole.last()
    negatives = sample_negatives(rng, whole, np.ones(ITEMS), count=ITEMS - 6)
    expected = mean_metrics(*ranks(model, histories, truths))
    assert sampled_metrics(model, histories, truths, negatives) == pytest.approx(expected, abs=1e-9)
