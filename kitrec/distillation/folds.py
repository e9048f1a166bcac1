"""Folds of users: the rows of a fold are ranked by models fitted on the users of the other folds.

A model that has memorised a row can only repeat its label, and its list teaches a student nothing but that. With one
fold nothing is kept apart: all rows are ranked by models fitted on all. Every teacher of a run has the same folds,
since these depend on the seed and the users alone. Shapes: R rows."""

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator


def assign_folds(users: pl.Series, count: int, seed: int) -> np.ndarray:
    """Return the fold of each row's user, [R]; all rows of a user are in the same fold."""
    if users.n_unique() < count:
        raise InputError(f"folds: {count} folds of {users.n_unique()} users would leave an empty one; lower it")
    ranks = users.rank("dense").to_numpy().astype(np.int64) - 1
    folds: np.ndarray = generator(seed, "distill folds").permutation(ranks.max() + 1) % count
    return folds[ranks]


def learned_rows(folds: np.ndarray, fold: int, count: int) -> np.ndarray:
    """Return whether the models of a fold are fitted on each row, [R]."""
    learned: np.ndarray = (folds != fold) | (count == 1)
    return learned
