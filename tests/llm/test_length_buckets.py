import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitrec.llm.finetuning.length_buckets import LengthBuckets


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=300), st.integers(1, 8), st.integers(0, 5))
def test_an_epoch_has_every_sample_once_and_the_longest_batch_first(lengths, batch_size, epoch):
    order = LengthBuckets(lengths, batch_size, seed=7).order(epoch)
    assert sorted(order) == list(range(len(lengths)))
    filled = len(lengths) // batch_size * batch_size
    if filled:
        assert max(lengths[k] for k in order[:batch_size]) == max(lengths[k] for k in order[:filled])


def test_the_order_depends_on_seed_and_epoch_only():
    lengths = np.random.default_rng(0).integers(10, 500, 200)
    buckets, others = LengthBuckets(lengths, 4, seed=1), LengthBuckets(lengths, 4, seed=1)
    first = list(buckets)
    buckets.set_epoch(3)
    third = list(buckets)
    others.set_epoch(3)
    assert list(others) == third != first
    assert list(LengthBuckets(lengths, 4, seed=2)) != first


def test_epochs_form_different_batches():
    """In a small data set too: pools keep a batch from being the same one in all epochs."""
    buckets = LengthBuckets(np.random.default_rng(0).integers(10, 500, 200), 4, seed=1)
    batches = [{frozenset(part) for part in buckets.order(epoch).reshape(-1, 4).tolist()} for epoch in range(2)]
    assert len(batches[0] & batches[1]) < 10


def test_the_padding_share_by_hand():
    assert LengthBuckets([4, 4], 2, seed=0).padding_share(3) == 0
    assert LengthBuckets([4, 1], 2, seed=0).padding_share(1) == pytest.approx(3 / 8)


def test_padding_of_real_lengths_is_under_three_percent_where_random_batches_waste_over_fifteen():
    """Prompts of KitREC's 100 candidates: about 5,000 tokens, long to the right."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.lognormal(np.log(4800), 0.22, 10_800), 8192).astype(int)
    assert LengthBuckets(lengths, 4, seed=0).padding_share(3) < 0.03
    shuffled = lengths[rng.permutation(len(lengths))].reshape(-1, 4)
    assert 1 - shuffled.sum() / (4 * shuffled.max(axis=1).sum()) > 0.15
