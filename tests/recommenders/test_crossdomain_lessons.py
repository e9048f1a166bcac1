"""What an epoch teaches: each positive once, unknown negatives of its own domain, nothing shown of itself."""

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


def test_every_positive_is_learned_exactly_once():
    learned = EPOCH.positions[EPOCH.counted]
    assert sorted(learned.tolist()) == list(range(len(USERS.histories.items)))
    positives = EPOCH.items[:, :, 0]
    assert (USERS.histories.items[EPOCH.positions] == positives).all()
    assert (CATALOGUE.sides[positives] == [0, 1]).all()
    longer = [max((own <= 20).sum(), (own > 20).sum()) for own in (USERS.histories[u] for u in range(60))]
    assert np.bincount(EPOCH.rows).tolist() == longer


def test_what_was_not_liked_is_neither_positive_nor_negative_but_read():
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


def test_rows_of_readers_keep_what_they_liked():
    users = UserHistories(sequences_from_lists([[1, 2], [3], [4, 5]]), None, np.array([True, False, True, False, True]))
    taken = users.take(np.array([2, 0]))
    assert taken.histories.items.tolist() == [4, 5, 1, 2] and taken.positive.tolist() == [False, True, True, False]


def test_company_of_the_shorter_side_is_the_readers_own():
    for row, items in zip(EPOCH.rows, EPOCH.items[:, :, 0], strict=True):
        assert set(items.tolist()) <= set(USERS.histories[row].tolist())


def test_negatives_are_unknown_items_of_the_same_domain():
    sides = CATALOGUE.sides[EPOCH.items]
    assert (sides == [[[0], [1]]]).all()
    for row, items in zip(EPOCH.rows, EPOCH.items, strict=True):
        assert not set(items[:, 1:].ravel().tolist()) & set(USERS.histories[row].tolist())


def test_negatives_are_uniform_over_what_a_reader_does_not_know():
    histories = sequences_from_lists([[1, 2, 3, 21, 22]])
    drawn = NegativeSampler(histories, CATALOGUE).sample(
        np.random.default_rng(0), np.zeros(1, int), np.array([21]), 14000
    )[0]
    counts = np.bincount(drawn, minlength=37)[23:]
    assert counts.sum() == 14000 and len(counts) == 14
    assert ((counts - 1000) ** 2 / 1000).sum() < 34.5  # chi squared, 13 degrees, p = 0.001


def test_a_reader_of_a_whole_domain_still_gets_negatives():
    catalogue = ItemDomains(np.array([0, 1, 1, 2, 2]))
    drawn = NegativeSampler(sequences_from_lists([[1, 2, 3]]), catalogue).sample(
        np.random.default_rng(0), np.array([0]), np.array([1]), 5
    )
    assert set(drawn[0].tolist()) <= {1, 2}


def test_what_is_learned_is_not_shown_and_all_else_is():
    for batch, rows in ((batch, EPOCH) for batch in pair_batches(USERS, CATALOGUE, EPOCH, 10**6, torch.device("cpu"))):
        starts = [*batch.users.starts.tolist(), len(batch.users.items[0])]
        for n, (row, counted) in enumerate(zip(rows.rows, rows.counted, strict=True)):
            shown = [x for side in batch.users.items for x in side[starts[n] : starts[n + 1]].tolist() if x]
            hidden = [int(batch.items[n, side, 0]) for side in (0, 1) if counted[side]]
            assert sorted([*shown, *hidden]) == sorted(USERS.histories[row].tolist())


def test_batches_are_the_epoch_in_parts():
    parts = list(pair_batches(USERS, CATALOGUE, EPOCH, 7, torch.device("cpu")))
    assert (torch.cat([own.items for own in parts]).numpy() == EPOCH.items).all()


def test_a_reader_of_one_domain_learns_from_it_alone():
    users = sequences_from_lists([[21, 22, 23], [1, 2]])
    epoch = sample_epoch(
        UserHistories(users), CATALOGUE, NegativeSampler(users, CATALOGUE), 2, np.random.default_rng(0)
    )
    assert sorted(epoch.counted.sum(1).tolist()) == [1] * 5
    assert (epoch.items[epoch.rows == 0][:, 0] == 0).all() and (epoch.items[epoch.rows == 1][:, 1] == 0).all()


def test_the_newest_items_of_a_side():
    asked = cross_domain_batch(
        UserHistories(sequences_from_lists([[1, 21, 2, 22], [23], [3]])), CATALOGUE.sides, np.arange(3)
    )
    assert asked.newest(0, 2).tolist() == [[2, 1], [0, 0], [3, 0]]
    assert asked.newest(1, 2).tolist() == [[22, 21], [23, 0], [0, 0]]
    assert [asked.has(side).tolist() for side in (0, 1)] == [[True, False, True], [True, True, False]]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_draws_the_same_epoch(seed):
    one, other = (
        sample_epoch(USERS, CATALOGUE, NegativeSampler(USERS.histories, CATALOGUE), 4, np.random.default_rng(seed))
        for _ in range(2)
    )
    assert (one.items == other.items).all() and (one.rows == other.rows).all() and (one.shift == other.shift).all()
