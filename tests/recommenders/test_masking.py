"""Statistics of masking, over enough positions that a wrong share shows."""

import numpy as np
import pytest

from kitrec.recommenders.data.masking import mask
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.models.params import Masking

ITEMS, USERS, LENGTH = 1000, 20_000, 10


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    rng = np.random.default_rng(0)
    return sequences_from_lists(rng.integers(1, ITEMS + 1, size=(USERS, LENGTH)))


def is_near(share: float, expected: float, count: int) -> bool:
    """Return whether a share lies within four standard errors."""
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)


def test_positions_before_the_last_are_masked_80_10_10(sequences):
    masked = mask(sequences, Masking(random=0.2, last=0.05), ITEMS, np.random.default_rng(1))
    early = np.tile(np.arange(LENGTH) < LENGTH - 1, USERS)
    masked_before = masked.masked & early
    assert is_near(masked_before[early].mean(), 0.2, early.sum())
    shown, was = masked.inputs.items[masked_before], sequences.items[masked_before]
    assert is_near((shown == ITEMS + 1).mean(), 0.8, len(shown))
    assert is_near((shown == was).mean(), 0.1 + 0.1 / ITEMS, len(shown))
    other = shown[(shown != ITEMS + 1) & (shown != was)]
    assert is_near(len(other) / len(shown), 0.1, len(shown)) and len(np.unique(other)) > 900


def test_the_last_position_is_boosted_and_always_becomes_the_mask(sequences):
    masked = mask(sequences, Masking(random=0.2, last=0.3), ITEMS, np.random.default_rng(2))
    last = np.tile(np.arange(LENGTH) == LENGTH - 1, USERS)
    assert is_near(masked.masked[last].mean(), 1 - 0.8 * 0.7, USERS)
    expected = 0.3 + 0.7 * 0.2 * 0.8
    assert is_near((masked.inputs.items[last] == ITEMS + 1).mean(), expected, USERS)


def test_unmasked_items_stay_unchanged_and_every_epoch_is_sampled_anew(sequences):
    rng = np.random.default_rng(3)
    one, two = (mask(sequences, Masking(random=0.2, last=0.05), ITEMS, rng) for _ in range(2))
    assert (one.inputs.items[~one.masked] == sequences.items[~one.masked]).all()
    assert (one.masked != two.masked).any()


def test_an_empty_sequence_has_no_last_position():
    masked = mask(sequences_from_lists([[1], [], [2]]), Masking(random=0.5, last=1.0), 5, np.random.default_rng(0))
    assert masked.masked.tolist() == [True, True] and masked.inputs.items.tolist() == [6, 6]
