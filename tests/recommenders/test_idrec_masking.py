"""The statistics of masking, over enough places that a wrong share shows."""

import numpy as np
import pytest

from kitrec.recommenders.data.masking import mask
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.models.params import Masking

ITEMS, USERS, LENGTH = 1000, 20_000, 10


@pytest.fixture(scope="module")
def whole() -> Sequences:
    rng = np.random.default_rng(0)
    return sequences_from_lists(rng.integers(1, ITEMS + 1, size=(USERS, LENGTH)))


def near(share: float, expected: float, count: int) -> bool:
    """Within four standard errors."""
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)


def test_places_before_the_last_are_hidden_80_10_10(whole):
    masked = mask(whole, Masking(random=0.2, last=0.05), ITEMS, np.random.default_rng(1))
    early = np.tile(np.arange(LENGTH) < LENGTH - 1, USERS)
    hidden = masked.masked & early
    assert near(hidden[early].mean(), 0.2, early.sum())
    shown, was = masked.inputs.items[hidden], whole.items[hidden]
    assert near((shown == ITEMS + 1).mean(), 0.8, len(shown))
    assert near((shown == was).mean(), 0.1 + 0.1 / ITEMS, len(shown))
    other = shown[(shown != ITEMS + 1) & (shown != was)]
    assert near(len(other) / len(shown), 0.1, len(shown)) and len(np.unique(other)) > 900


def test_the_last_place_is_hidden_more_often_and_then_shows_the_mask(whole):
    masked = mask(whole, Masking(random=0.2, last=0.3), ITEMS, np.random.default_rng(2))
    last = np.tile(np.arange(LENGTH) == LENGTH - 1, USERS)
    assert near(masked.masked[last].mean(), 1 - 0.8 * 0.7, USERS)
    expected = 0.3 + 0.7 * 0.2 * 0.8
    assert near((masked.inputs.items[last] == ITEMS + 1).mean(), expected, USERS)


def test_what_is_not_hidden_is_shown_as_it_is_and_every_epoch_draws_anew(whole):
    rng = np.random.default_rng(3)
    one, two = (mask(whole, Masking(random=0.2, last=0.05), ITEMS, rng) for _ in range(2))
    assert (one.inputs.items[~one.masked] == whole.items[~one.masked]).all()
    assert (one.masked != two.masked).any()


def test_an_empty_sequence_has_no_last_place():
    masked = mask(sequences_from_lists([[1], [], [2]]), Masking(random=0.5, last=1.0), 5, np.random.default_rng(0))
    assert masked.masked.tolist() == [True, True] and masked.inputs.items.tolist() == [6, 6]
