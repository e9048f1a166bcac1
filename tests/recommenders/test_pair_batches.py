"""Pair batches: each positive once per epoch, negatives of its domain, hidden from the history."""

import numpy as np
import pytest
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories, cross_domain_batch
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.data.pair_batches import pair_batches, sample_epoch
from kitrec.recommenders.data.sequences import sequences_from_lists
from tests.recommenders.made_domains import CATALOGUE, made_users

USERS = made_users(60, seed=5)
EPOCH = sample_epoch(USERS, CATALOGUE, NegativeSampler(USERS.histories, CATALOGUE), 4, np.random.default_rng(0))


def test_every_positive_counts_exactly_once_per_epoch():
    counted_positions = EPOCH.positions[EPOCH.counted]
    assert sorted(counted_positions.tolist()) == list(range(len(USERS.histories.items)))
    positives = EPOCH.items[:, :, 0]
    assert (USERS.histories.items[EPOCH.positions] == positives).all()
    assert (CATALOGUE.sides[positives] == [0, 1]).all()
    longer = [max((items <= 20).sum(), (items > 20).sum()) for items in (USERS.histories[u] for u in range(60))]
    assert np.bincount(EPOCH.rows).tolist() == longer


def test_items_rated_low_are_neither_positives_nor_negatives_but_stay_in_the_history():
    positive = np.random.default_rng(1).random(len(USERS.histories.items)) < 0.6
    users = UserHistories(USERS.histories, USERS.indices, positive)
    epoch = sample_epoch(users, CATALOGUE, NegativeSampler(USERS.histories, CATALOGUE), 4, np.random.default_rng(0))
    assert sorted(epoch.positions[epoch.counted].tolist()) == np.flatnonzero(positive).tolist()
    for row, items in zip(epoch.rows, epoch.items, strict=True):
        assert not set(items[:, 1:].ravel().tolist()) & set(USERS.histories[row].tolist())
    shown = next(iter(pair_batches(users, CATALOGUE, epoch, 10**6, torch.device("cpu")))).users
    assert sum(len(side[side > 0]) for side in shown.items) == sum(
        USERS.histories.lengths[row] - counted.sum() for row, counted in zip(epoch.rows, epoch.counted, strict=True)
    )


def test_taking_rows_keeps_the_positives_of_their_users():
    users = UserHistories(sequences_from_lists([[1, 2], [3], [4, 5]]), None, np.array([True, False, True, False, True]))
    taken = users.take(np.array([2, 0]))
    assert taken.histories.items.tolist() == [4, 5, 1, 2] and taken.positive.tolist() == [False, True, True, False]


def test_repeated_positives_of_the_shorter_side_are_the_users():
    for row, items in zip(EPOCH.rows, EPOCH.items[:, :, 0], strict=True):
        assert set(items.tolist()) <= set(USERS.histories[row].tolist())


def test_negatives_are_items_of_the_same_domain_outside_the_history():
    sides = CATALOGUE.sides[EPOCH.items]
    assert (sides == [[[0], [1]]]).all()
    for row, items in zip(EPOCH.rows, EPOCH.items, strict=True):
        assert not set(items[:, 1:].ravel().tolist()) & set(USERS.histories[row].tolist())


def test_negatives_are_uniform_over_the_items_outside_the_history():
    histories = sequences_from_lists([[1, 2, 3, 21, 22]])
    sampled = NegativeSampler(histories, CATALOGUE).sample(
        np.random.default_rng(0), np.zeros(1, int), np.array([21]), 14000
    )[0]
    counts = np.bincount(sampled, minlength=37)[23:]
    assert counts.sum() == 14000 and len(counts) == 14
    assert ((counts - 1000) ** 2 / 1000).sum() < 34.5  # chi squared, 13 degrees, p = 0.001


def test_a_user_who_has_a_whole_domain_still_gets_negatives():
    item_domains = ItemDomains(np.array([0, 1, 1, 2, 2]))
    sampled = NegativeSampler(sequences_from_lists([[1, 2, 3]]), item_domains).sample(
        np.random.default_rng(0), np.array([0]), np.array([1]), 5
    )
    assert set(sampled[0].tolist()) <= {1, 2}


def test_counted_positives_are_hidden_from_the_history_and_all_other_items_shown():
    for batch, rows in ((batch, EPOCH) for batch in pair_batches(USERS, CATALOGUE, EPOCH, 10**6, torch.device("cpu"))):
        starts = [*batch.users.starts.tolist(), len(batch.users.items[0])]
        for n, (row, counted) in enumerate(zip(rows.rows, rows.counted, strict=True)):
            shown = [x for side in batch.users.items for x in side[starts[n] : starts[n + 1]].tolist() if x]
            hidden = [int(batch.items[n, side, 0]) for side in (0, 1) if counted[side]]
            assert sorted([*shown, *hidden]) == sorted(USERS.histories[row].tolist())


def test_batches_are_the_epoch_in_parts():
    parts = list(pair_batches(USERS, CATALOGUE, EPOCH, 7, torch.device("cpu")))
    assert (torch.cat([batch.items for batch in parts]).numpy() == EPOCH.items).all()


def test_a_user_of_one_domain_has_positives_of_it_only():
    users = sequences_from_lists([[21, 22, 23], [1, 2]])
    epoch = sample_epoch(
        UserHistories(users), CATALOGUE, NegativeSampler(users, CATALOGUE), 2, np.random.default_rng(0)
    )
    assert sorted(epoch.counted.sum(1).tolist()) == [1] * 5
    assert (epoch.items[epoch.rows == 0][:, 0] == 0).all() and (epoch.items[epoch.rows == 1][:, 1] == 0).all()


def test_newest_returns_the_last_items_of_each_side():
    batch = cross_domain_batch(
        UserHistories(sequences_from_lists([[1, 21, 2, 22], [23], [3]])), CATALOGUE.sides, np.arange(3)
    )
    assert batch.newest(0, 2).tolist() == [[2, 1], [0, 0], [3, 0]]
    assert batch.newest(1, 2).tolist() == [[22, 21], [23, 0], [0, 0]]
    assert [batch.has(side).tolist() for side in (0, 1)] == [[True, False, True], [True, True, False]]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_samples_the_same_epoch(seed):
    one, other = (
        sample_epoch(USERS, CATALOGUE, NegativeSampler(USERS.histories, CATALOGUE), 4, np.random.default_rng(seed))
        for _ in range(2)
    )
    assert (one.items == other.items).all() and (one.rows == other.rows).all() and (one.shift == other.shift).all()
