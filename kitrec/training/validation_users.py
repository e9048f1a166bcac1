"""The users that choose the best weights of a training: all of them, or a sample.

The cost of a validation grows with its users, its precision with their root. Two sets of weights are compared on the
same users: with g their gain and s the standard deviation of a user's difference, the standard error of n users is
below g / 10 for n > (10 s / g)^2. Of NDCG@10, on the default data (docs/specification/training.md):
    a model over item ids   SASRec, four late epochs                g = .0101, s = .097     n > 9,225
    an LLM                  a DualFT or SingleFT adapter, its base  g = .174, s = .477      n > 752
so the shipped params sample 10,000 and 1,000 users. They are sampled once, by the seed: all epochs of a training, and
all trainings of a seed, are validated on the same ones."""

from typing import Literal

import numpy as np
import polars as pl

from kitrec.core.randomness import generator

Most = int | Literal["all"]  # users at most, or all


def sampled_positions(count: int, most: Most, seed: int) -> np.ndarray:
    """Return `most` of so many users by their positions, ascending; all where there are no more."""
    if most == "all" or count <= most:
        return np.arange(count)
    return np.sort(generator(seed, "validation users").choice(count, size=most, replace=False))


def sample_users(users: pl.Series, most: Most, seed: int) -> pl.Series:
    """Return `most` of the users of a column, whatever its order."""
    distinct = users.unique().sort()
    return distinct.gather(sampled_positions(len(distinct), most, seed))


def sample_rows(table: pl.DataFrame, most: Most, seed: int) -> pl.DataFrame:
    """Return the rows of `most` of a table's users, in their order."""
    return table.filter(pl.col("user_id").is_in(sample_users(table["user_id"], most, seed).implode()))
