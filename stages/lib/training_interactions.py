"""The interactions that a model over users and items is trained on."""

import polars as pl

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from stages.lib import paths


def read_training(train_on: str) -> pl.DataFrame:
    """Return what the users show whom the LLM learns from, and users without a role where the section says so."""
    train = tables.read(paths.interactions("train"), SPLIT_INTERACTIONS)
    if train_on != "all_reviews":
        return train
    others = tables.read(paths.interactions("others"), SPLIT_INTERACTIONS)
    if others.is_empty():
        raise InputError("idrec.train_on: this source has reviews of sampled users only; set it to records")
    return pl.concat([train, others])
