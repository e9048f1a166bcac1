"""Non-parametric models against brute force, the closed form and the optimality condition."""

import numpy as np
import pytest

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models import ease, item_knn, params, popularity, random_walk
from tests.recommenders.made_domains import CATALOGUE, made_users

ITEMS = CATALOGUE.items
TRAINING = made_users(50, seed=3).histories
NEW_USERS = made_users(12, seed=9)
EVERYTHING = np.tile(np.arange(1, ITEMS + 1), (len(NEW_USERS), 1))


def dense(histories):
    table = np.zeros((len(histories), ITEMS + 1))
    table[histories.users, histories.items] = 1.0
    return table


def test_popularity_is_the_number_of_training_users_of_an_item():
    scores = popularity.fit(TRAINING, ITEMS).candidate_scores(NEW_USERS, EVERYTHING)
    assert (scores == dense(TRAINING).sum(0)[1:]).all()


@pytest.mark.parametrize(("neighbours", "shrink"), [(ITEMS, 0.0), (5, 0.0), (5, 3.0), (1, 1.0)])
def test_item_knn_equals_the_cosine_of_a_double_loop(neighbours, shrink):
    table, sim = dense(TRAINING), np.zeros((ITEMS + 1, ITEMS + 1))
    for i in range(1, ITEMS + 1):
        for j in range(1, ITEMS + 1):
            shared, norm = table[:, i] @ table[:, j], np.sqrt(table[:, i].sum() * table[:, j].sum())
            sim[i, j] = shared / (norm + shrink) if i != j and norm else 0.0
    expected = np.zeros((len(NEW_USERS), ITEMS))
    for u in range(len(NEW_USERS)):
        for j in range(1, ITEMS + 1):
            neighbour_items = sorted(range(1, ITEMS + 1), key=lambda i: (-sim[i, j], i))[:neighbours]
            expected[u, j - 1] = sum(sim[i, j] for i in NEW_USERS.histories[u].tolist() if i in neighbour_items)
    p = params.ItemKNN(kind="item_knn", neighbours=neighbours, shrink=shrink)
    assert np.allclose(item_knn.fit(TRAINING, ITEMS, p).candidate_scores(NEW_USERS, EVERYTHING), expected, atol=1e-5)


def test_item_knn_scores_target_items_from_books_alone():
    """The new user's history holds books only."""
    user = UserHistories(NEW_USERS.histories.take(np.array([0])))
    books = user.histories.items[user.histories.items <= 20]

    model = item_knn.fit(TRAINING, ITEMS, params.ItemKNN(kind="item_knn", neighbours=ITEMS, shrink=0.0))
    scores = model.candidate_scores(UserHistories(sequences_from_lists([books])), np.arange(21, ITEMS + 1)[None])
    assert (scores > 0).any() and len(set(scores[0].tolist())) > 3


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_random_walks_scores_equal_the_shares_of_simulated_walkers(hops):
    """alpha 1: the exact chance, against 100,000 walkers from each user's items."""
    rng, table = np.random.default_rng(hops), dense(TRAINING)
    p = params.RandomWalk(kind="random_walk", alpha=1.0, hops=hops)
    scores = random_walk.fit(TRAINING, ITEMS, p).candidate_scores(NEW_USERS, EVERYTHING)
    items_of, users_of = [np.flatnonzero(row) for row in table], [np.flatnonzero(column) for column in table.T]
    for u in range(2):
        start = NEW_USERS.histories[u][np.isin(NEW_USERS.histories[u], TRAINING.items)]
        walkers = rng.choice(NEW_USERS.histories[u], 100_000)
        for _ in range(hops):
            walkers = walkers[np.isin(walkers, TRAINING.items)]
            users = np.array([rng.choice(users_of[item]) for item in walkers])
            walkers = np.array([rng.choice(items_of[user]) for user in users])
        share = np.bincount(walkers, minlength=ITEMS + 1)[1:] / 100_000
        assert len(start) and np.abs(share - scores[u]).max() < 0.006


def test_alpha_is_the_power_of_every_step_of_a_random_walk():
    """By hand: users {1, 2} and {2, 3}; from item 1 one hop leads to 1 and 2, two also to 3."""
    model = random_walk.fit(
        sequences_from_lists([[1, 2], [2, 3]]), 3, params.RandomWalk(kind="random_walk", alpha=0.5, hops=1)
    )
    users = UserHistories(sequences_from_lists([[1]]))
    assert np.allclose(model.candidate_scores(users, np.array([[1, 2, 3]])), [[2**-0.5, 2**-0.5, 0.0]])
    model = random_walk.fit(
        sequences_from_lists([[1, 2], [2, 3]]), 3, params.RandomWalk(kind="random_walk", alpha=0.5, hops=2)
    )
    over_2 = 2**-1.5  # to item 2, to one of its two users, to one of that user's two items
    expected = [0.5 + over_2, 0.5 + 2 * over_2, over_2]
    assert np.allclose(model.candidate_scores(users, np.array([[1, 2, 3]])), [expected])


def closed_form(table, penalty):
    inverse = np.linalg.inv(table.T @ table + penalty * np.eye(table.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def item_weights(rank, penalty=7.0):
    """Return B: the scores of every item for each history of a single item."""

    model = ease.fit(TRAINING, ITEMS, params.EASE(kind="ease", rank=rank, penalty=penalty), seed=0)
    single_items = UserHistories(sequences_from_lists([[i] for i in range(1, ITEMS + 1)]))
    return model.candidate_scores(single_items, np.tile(np.arange(1, ITEMS + 1), (ITEMS, 1))).astype(np.float64)


def test_ease_of_full_rank_equals_the_closed_form():
    table = dense(TRAINING)[:, 1:]
    assert np.allclose(item_weights(rank=500), closed_form(table, 7.0), atol=1e-5)
    model = ease.fit(TRAINING, ITEMS, params.EASE(kind="ease", rank=500, penalty=7.0), seed=0)
    expected = dense(NEW_USERS.histories)[:, 1:] @ closed_form(table, 7.0)
    assert np.allclose(model.candidate_scores(NEW_USERS, EVERYTHING), expected, atol=1e-5)


def test_ease_minimises_the_penalised_error_under_a_zero_diagonal():
    """The gradient of |X - XB|^2 + lambda |B|^2 vanishes off the diagonal, where B is free."""
    table, weights = dense(TRAINING)[:, 1:], item_weights(rank=500)
    gram = table.T @ table
    slope = gram @ weights - gram + 7.0 * weights
    assert np.abs(np.diag(weights)).max() < 1e-6
    assert np.abs(slope - np.diag(np.diag(slope))).max() < 1e-3
    assert np.abs(np.diag(slope)).min() > 0.1


def test_ease_of_a_low_rank_equals_the_closed_form_of_the_closest_matrix():
    left, values, right = np.linalg.svd(dense(TRAINING)[:, 1:], full_matrices=False)
    closest = left[:, :10] * values[:10] @ right[:10]
    assert np.allclose(item_weights(rank=10), closed_form(closest, 7.0), atol=1e-3)
