"""Overlap of test users with the users of other roles: refused, reported, or removed from training."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from kitrec.core.errors import InputError
from kitrec.preprocessing.dataset import Dataset
from kitrec.preprocessing.params import Overlap

OTHER_ROLES = ("train", "development", "preference")


def apply_overlap_policy(dataset: Dataset, policy: Overlap) -> tuple[Dataset, dict[str, int]]:
    """Return (data set, number of overlapping users by role). `drop` removes them from training and preference; test
    users stay, so that results remain comparable with those of others."""
    test_users = pl.concat([roles["test"].select("user_id") for roles in dataset.records.values()]).unique()
    overlap = {role: _count_overlap(dataset, role, test_users) for role in OTHER_ROLES}
    if policy == "stop" and any(overlap.values()):
        raise InputError(
            f"test users among the others: {overlap}; results would flatter the models. Set source.overlap to `drop` "
            "(train without them) or `report` (as the data's authors did)"
        )
    if policy != "drop":
        return dataset, overlap
    records = {candidate_set: _without(roles, test_users) for candidate_set, roles in dataset.records.items()}
    interactions = _without(dataset.interactions, test_users)
    history = dataset.training_history.join(test_users, on="user_id", how="anti", maintain_order="left")
    return replace(dataset, records=records, interactions=interactions, training_history=history), overlap


def overlap_warnings(overlap: Mapping[str, int]) -> list[str]:
    """Return what to say of users with two roles, where the policy let them pass or removed them."""
    if not any(overlap.values()):
        return []
    return [f"test users among the others: {overlap}; unless source.overlap is drop, models learn from them"]


def _count_overlap(dataset: Dataset, role: str, test_users: pl.DataFrame) -> int:
    users = pl.concat([roles[role].select("user_id") for roles in dataset.records.values()]).unique()
    return users.join(test_users, on="user_id", how="semi").height


def _without(tables: dict[str, pl.DataFrame], test_users: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {
        role: rows.join(test_users, on="user_id", how="anti", maintain_order="left") if role in OTHER_ROLES else rows
        for role, rows in tables.items()
    }
