"""Test users who occur among other users too: an error, a count, or a reason to train without them."""

from dataclasses import replace

import polars as pl

from kitrec.core.errors import InputError
from kitrec.preprocessing.dataset import Dataset
from kitrec.preprocessing.params import Overlap

UNTESTED = ("train", "development", "preference")


def apply_overlap_policy(dataset: Dataset, policy: Overlap) -> tuple[Dataset, dict[str, int]]:
    """(data set, overlapping users by role). `drop` takes them out of training and preference; the test users stay, so
    that results remain comparable with those of others."""
    tests = pl.concat([own["test"].select("user_id") for own in dataset.records.values()]).unique()
    found = {role: _common(dataset, role, tests) for role in UNTESTED}
    if policy == "stop" and any(found.values()):
        raise InputError(
            f"test users among the others: {found}; results would flatter the models. Set source.overlap to `drop` "
            "(train without them) or `report` (as the data's authors did)"
        )
    if policy != "drop":
        return dataset, found
    records = {which: _without(own, tests) for which, own in dataset.records.items()}
    interactions = _without(dataset.interactions, tests)
    past = dataset.training_history.join(tests, on="user_id", how="anti", maintain_order="left")
    return replace(dataset, records=records, interactions=interactions, training_history=past), found


def _common(dataset: Dataset, role: str, tests: pl.DataFrame) -> int:
    users = pl.concat([own[role].select("user_id") for own in dataset.records.values()]).unique()
    return users.join(tests, on="user_id", how="semi").height


def _without(tables: dict[str, pl.DataFrame], tests: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {
        role: rows.join(tests, on="user_id", how="anti", maintain_order="left") if role in UNTESTED else rows
        for role, rows in tables.items()
    }
