"""Users of few target items made of users of more, where nature has too few of them (`users.cut`).

A cut user keeps the newest k target items and loses the older ones, in prompts and in the sequences of all models; the
source history stays. (Where `idrec.train_on` is all_reviews, models over histories learn what users of training lost.)
Natural users come first, and a user is cut only if its own type has enough without it. Nothing
else about a cut user is that of a natural one: whoever has many items differs in taste, activity and the popularity of
the newest. So tables must say which types are cut (metrics/data.json, `cut`)."""

from collections.abc import Collection, Mapping

import polars as pl

from kitrec.core.domains import Domains, UserType
from kitrec.core.randomness import generator
from kitrec.preprocessing.users import UserGroups

Members = Mapping[str, list[str]]


def cut_members(
    seed: int, members: Members, last_targets: pl.DataFrame, domains: Domains, needed: int
) -> dict[str, list[str]]:
    """Return the users of each type, filled to `needed` by users who are to be cut, as far as there are any.

    `last_targets` are the rows of `last_target_interactions`; users with several target domains are never cut."""
    single = last_targets.filter(pl.col("targets") == 1)
    counts = dict(single.select("user_id", "interactions").iter_rows())
    filled = {name: list(users) for name, users in members.items()}
    for target in domains.targets:
        kinds = [kind for kind in domains.user_types.values() if kind.target == target]
        spare = _spare_users(seed, members, kinds, counts, needed)
        assigned = _distributed(spare, members, kinds, counts, needed)
        cut = {user for users in assigned.values() for user in users}
        for kind in kinds:
            natural = [user for user in members[kind.name] if user not in cut]
            filled[kind.name] = natural + assigned.get(kind.name, [])
    return {name: sorted(users) for name, users in filled.items()}


def _spare_users(
    seed: int, members: Members, kinds: list[UserType], counts: Mapping[str, int], needed: int
) -> list[str]:
    """Return, in random order, the users whose type has enough without them."""
    spare = []
    for kind in kinds:
        users = sorted(members[kind.name])
        order = [users[k] for k in generator(seed, "spare users", kind.name).permutation(len(users))]
        single = [user for user in order if user in counts]
        spare += single[: max(0, len(users) - needed)]
    rng = generator(seed, "cut", kinds[0].target)
    return [spare[k] for k in rng.permutation(len(spare))]


def _distributed(
    spare: list[str], members: Members, kinds: list[UserType], counts: Mapping[str, int], needed: int
) -> dict[str, list[str]]:
    """Give the spare users to the types that lack some, one each in turn, so that a shortage is shared evenly."""
    lacking = {k.name: needed - len(members[k.name]) for k in kinds if k.max_target_items is not None}
    open_kinds = [kind for kind in kinds if lacking.get(kind.name, 0) > 0]
    assigned: dict[str, list[str]] = {kind.name: [] for kind in open_kinds}
    left = dict.fromkeys(spare)
    while open_kinds:
        for kind in list(open_kinds):
            user = next((user for user in left if counts[user] > kind.min_target_items), None)
            if user is not None:
                del left[user]
                assigned[kind.name].append(user)
            if user is None or len(assigned[kind.name]) == lacking[kind.name]:
                open_kinds.remove(kind)
    return assigned


def removed_interactions(
    interactions: pl.DataFrame, members: Members, natural: Members, domains: Domains
) -> pl.DataFrame:
    """Return the (user_id, item_id) that cut users lose: all but the newest target items of their type."""
    rows = [
        (user, kind.target, kind.min_target_items)
        for name, kind in domains.user_types.items()
        for user in sorted(set(members[name]) - set(natural[name]))
    ]
    schema = {"user_id": pl.String, "domain": pl.String, "kept": pl.Int64}
    targets = interactions.join(pl.DataFrame(rows, schema=schema, orient="row"), on=["user_id", "domain"])
    newest = targets.sort("user_id", "time", "item_id").with_columns(
        age=pl.len().over("user_id") - pl.int_range(pl.len()).over("user_id")
    )
    return newest.filter(pl.col("age") > pl.col("kept")).select("user_id", "item_id")


def cut_from_training(interactions: pl.DataFrame, removed: pl.DataFrame, training: pl.Series) -> pl.DataFrame:
    """Return the interactions that users of training lost: no prompt shows them, models over histories may learn."""
    lost = removed.filter(pl.col("user_id").is_in(training.unique().implode()))
    rows = interactions.join(lost, on=["user_id", "item_id"], how="semi", maintain_order="left")
    return rows.with_columns(held_out=pl.lit(False))


def count_cut(roles: UserGroups, cut: Collection[str]) -> dict[str, dict[str, int]]:
    """Count the cut users of each role and type, of the types that have any."""
    users = set(cut)
    names = {role for groups in roles.values() for role in groups}
    counted = {
        role: {name: n for name, groups in roles.items() if (n := len(users.intersection(groups[role])))}
        for role in sorted(names)
    }
    return {role: by_type for role, by_type in counted.items() if by_type}
