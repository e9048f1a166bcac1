"""User types by interaction counts, and disjoint samples of users for training, preference and test."""

from collections.abc import Collection
from itertools import islice

import polars as pl

from kitrec.core.domains import Domains, UserType
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.preprocessing.params import Users

UserGroups = dict[str, dict[str, list[str]]]


def classify(interactions: pl.DataFrame, domains: Domains, min_source_items: int) -> dict[str, list[str]]:
    """Return the sorted users of each type. A user who overlaps in several targets belongs to a type of each."""
    return members_by_type(last_target_interactions(interactions, domains, min_source_items), domains)


def members_by_type(last_targets: pl.DataFrame, domains: Domains) -> dict[str, list[str]]:
    """Return the sorted users of each type, from the rows of `last_target_interactions`."""
    usable = last_targets.filter(pl.col("exclusion_reason").is_null())
    members = {t.name: usable.filter(_matches_type(t))["user_id"] for t in domains.user_types.values()}
    return {name: users.sort().to_list() for name, users in members.items()}


def last_target_interactions(interactions: pl.DataFrame, domains: Domains, min_source_items: int) -> pl.DataFrame:
    """Return a row per user and target: its `interactions`, the user's number of `targets`, and the `exclusion_reason`
    (mostly null) if the last one cannot be held out: too few source items before it, or several at the same time."""
    source = domains.source
    ties = (pl.col("time") == pl.col("time").max()).sum().alias("ties")
    last = (
        interactions.filter(pl.col("domain") != source)
        .group_by("user_id", "domain")
        .agg(pl.len().alias("interactions"), pl.col("time").max().alias("last"), ties)
    )
    before = (
        interactions.filter(pl.col("domain") == source)
        .select("user_id", "time")
        .join(last.select("user_id", "domain", "last"), on="user_id")
        .filter(pl.col("time") < pl.col("last"))
        .group_by("user_id", "domain")
        .agg(pl.len().alias("source_items"))
    )
    reason = (
        pl.when(pl.col("source_items").fill_null(0) < min_source_items)
        .then(pl.lit(f"fewer than {min_source_items} {source} before the last target item"))
        .when(pl.col("ties") > 1)
        .then(pl.lit("several target items in the last instant"))
    )
    joined = last.join(before, on=["user_id", "domain"], how="left")
    return joined.with_columns(exclusion_reason=reason, targets=pl.len().over("user_id"))


def _matches_type(user_type: UserType) -> pl.Expr:
    rule = (pl.col("domain") == user_type.target) & (pl.col("interactions") >= user_type.min_target_items)
    if user_type.max_target_items is not None:
        rule &= pl.col("interactions") <= user_type.max_target_items
    return rule & (pl.col("targets") == 1) if user_type.other_target_empty else rule


def sampled_users(roles: UserGroups) -> pl.DataFrame:
    """Return the sorted ids of all users with a role, in column `user_id`."""
    names = sorted({user for groups in roles.values() for ids in groups.values() for user in ids})
    return pl.DataFrame({"user_id": names}, schema={"user_id": pl.String})


def sample_roles(
    seed: int, members: dict[str, list[str]], users: Users, test_users: Collection[str] | None = None
) -> UserGroups:
    """Sample training, preference and test users of each type in exact numbers: type -> role -> users.

    Where the data reserve `test_users`, all test users are of them, and no others."""
    sizes = {"train": users.train, "preference": users.preference, "test": users.test}
    return _assign_roles(seed, "roles", members, dict.fromkeys(members, sizes), test_users)


def split_training(seed: int, train_users: dict[str, list[str]], development_share: float) -> UserGroups:
    """Split the training users of every type by user: type -> `train` or `development` -> users."""
    sizes = {}
    for user_type, ids in train_users.items():
        development = max(1, round(development_share * len(ids)))
        sizes[user_type] = {"development": development, "train": len(ids) - development}
    return _assign_roles(seed, "development", train_users, sizes)


def _assign_roles(
    seed: int,
    purpose: str,
    members: dict[str, list[str]],
    sizes: dict[str, dict[str, int]],
    test_users: Collection[str] | None = None,
) -> UserGroups:
    """Assign the users of each type to roles by seed. A user of two types gets one role: splits are disjoint."""
    reserved = None if test_users is None else set(test_users)
    role_of: dict[str, str] = {}
    assigned: UserGroups = {}
    for user_type, ids in members.items():
        by_name = sorted(ids)
        order = [by_name[i] for i in generator(seed, purpose, user_type).permutation(len(ids))]
        groups = {role: [u for u in order if role_of.get(u) == role][:n] for role, n in sizes[user_type].items()}
        for role, count in sizes[user_type].items():
            free = (u for u in order if u not in role_of and (reserved is None or (u in reserved) == (role == "test")))
            groups[role] += list(islice(free, count - len(groups[role])))
            role_of |= dict.fromkeys(groups[role], role)
        assigned[user_type] = groups
    _check_enough(members, sizes, assigned, reserved)
    return assigned


def _check_enough(
    members: dict[str, list[str]], sizes: dict[str, dict[str, int]], assigned: UserGroups, reserved: set[str] | None
) -> None:
    """Raise an error that names every type with too few users."""
    shortages = []
    for user_type, groups in assigned.items():
        missing = {role: n - len(groups[role]) for role, n in sizes[user_type].items() if len(groups[role]) < n}
        if missing:
            requested = ", ".join(f"{role} {count}" for role, count in sizes[user_type].items())
            available = f"{len(members[user_type])}"
            if reserved is not None:
                available += f" ({len(reserved.intersection(members[user_type]))} of them reserved for tests)"
            shortages.append(f"{user_type} has {available} users, too few for {requested} (short of {missing})")
    if shortages:
        raise InputError(
            "users: " + "; ".join(shortages) + "; lower users.train, users.preference or users.test, or bring more data"
        )
