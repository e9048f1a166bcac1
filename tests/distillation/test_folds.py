"""Folds of users: whole users, folds of equal size, and what the models of a fold learn from."""

import numpy as np
import polars as pl

from kitrec.distillation.folds import assign_folds, learned_rows


def test_all_rows_of_a_user_are_in_one_fold_and_folds_are_of_equal_size():
    users = pl.Series([f"u{k % 23:02}" for k in range(200)])
    folds = assign_folds(users, 4, seed=3)
    by_user = {user: {fold for name, fold in zip(users, folds, strict=True) if name == user} for user in set(users)}
    assert all(len(of_user) == 1 for of_user in by_user.values())
    sizes = [sum(of_user == {fold} for of_user in by_user.values()) for fold in range(4)]
    assert sorted(sizes) == [5, 6, 6, 6]


def test_folds_depend_on_seed_and_users_not_on_their_rows():
    users = pl.Series([f"u{k:02}" for k in range(40)])
    folds = assign_folds(users, 5, seed=1)
    order = np.random.default_rng(0).permutation(40)
    assert (assign_folds(users[order], 5, seed=1) == folds[order]).all()
    assert (assign_folds(pl.concat([users, users]), 5, seed=1) == np.tile(folds, 2)).all()
    assert not (assign_folds(users, 5, seed=2) == folds).all()


def test_the_models_of_a_fold_learn_from_all_other_rows_and_without_folds_from_all():
    folds = np.array([0, 1, 2, 1])
    assert learned_rows(folds, 1, 3).tolist() == [True, False, True, False]
    assert learned_rows(np.zeros(3, dtype=int), 0, 1).all()
