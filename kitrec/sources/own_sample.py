"""The sampled users of the user's own tables, some of them with cut histories if `users.cut` allows it."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import Domains
from kitrec.preprocessing.cut_histories import count_cut, cut_members, removed_interactions
from kitrec.preprocessing.params import Users
from kitrec.preprocessing.users import (
    UserGroups,
    last_target_interactions,
    members_by_type,
    sample_roles,
    sampled_users,
)
from kitrec.sources.own_tables import OwnTables


@dataclass(frozen=True)
class OwnSample:
    """Items, all interactions and roles of the sampled users, the (user_id, item_id) that cut histories lose, the
    interactions of the other users, and counts."""

    items: pl.DataFrame
    interactions: pl.DataFrame
    others: pl.DataFrame
    removed: pl.DataFrame
    roles: UserGroups
    counts: dict[str, Any]

    def cut_warnings(self) -> list[str]:
        """Return how many users of each role have cut histories."""
        cut = self.counts["cut"]["users"]
        return [f"users.cut: cut histories of {role} users: {by_type}" for role, by_type in cut.items()]


def sample_own_users(seed: int, tables: OwnTables, domains: Domains, users: Users) -> OwnSample:
    """Sample users of every type; histories of cut users are whole here, and `removed` says what they lose."""
    last_targets = last_target_interactions(tables.interactions, domains, users.min_source_items)
    natural = members_by_type(last_targets, domains)
    members = _with_cut_users(seed, natural, last_targets, tables.test_users, domains, users) if users.cut else natural
    roles = sample_roles(seed, members, users, tables.test_users)
    sampled = sampled_users(roles)
    interactions = tables.interactions.join(sampled, on="user_id", how="semi", maintain_order="left")
    others = tables.interactions.join(sampled, on="user_id", how="anti", maintain_order="left")
    cut = {user for name, ids in members.items() for user in set(ids) - set(natural[name])}
    removed = removed_interactions(interactions, members, natural, domains)
    counts = {
        **tables.counts,
        "users": tables.interactions["user_id"].n_unique(),
        "users with a target item": last_targets["user_id"].n_unique(),
        **dict(sorted(last_targets["exclusion_reason"].drop_nulls().value_counts().iter_rows())),
        "users_by_type": {name: len(ids) for name, ids in natural.items()},
        "cut": {"users": count_cut(roles, cut), "interactions_removed": removed.height},
    }
    return OwnSample(tables.items, interactions, others, removed, roles, counts)


def _with_cut_users(
    seed: int,
    natural: dict[str, list[str]],
    last_targets: pl.DataFrame,
    test_users: frozenset[str] | None,
    domains: Domains,
    users: Users,
) -> dict[str, list[str]]:
    """Return the members filled by cut users; of users reserved for tests as many as tests need, of others the rest."""
    if test_users is None:
        return cut_members(seed, natural, last_targets, domains, users.per_type)
    filled: dict[str, list[str]] = {name: [] for name in natural}
    for reserved, needed in ((True, users.test), (False, users.train + users.preference)):
        part = {name: [u for u in ids if (u in test_users) == reserved] for name, ids in natural.items()}
        for name, ids in cut_members(seed, part, last_targets, domains, needed).items():
            filled[name] += ids
    return filled
