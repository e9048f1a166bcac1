"""Who is who: users classified by their counts, and disjoint groups sampled from them by seed."""

from itertools import islice

import polars as pl

from kitrec.domains import SOURCE, TARGETS, USER_TYPES, UserType
from kitrec.errors import InputError
from kitrec.prep.params import Users
from kitrec.randomness import generator

FEWEST_BOOKS = 5
Groups = dict[str, dict[str, list[str]]]


def classify(interactions: pl.DataFrame) -> dict[str, list[str]]:
    """The users of each type, sorted. A user who overlaps in both targets belongs to both types."""
    counts = (
        interactions.group_by("user_id", "domain").len().pivot(on="domain", index="user_id", values="len").fill_null(0)
    )
    counts = counts.with_columns(pl.lit(0).alias(d) for d in (SOURCE, *TARGETS) if d not in counts.columns)
    return {kind.name: counts.filter(_belongs(kind))["user_id"].sort().to_list() for kind in USER_TYPES.values()}


def _belongs(kind: UserType) -> pl.Expr:
    seen = pl.col(kind.target)
    rule = (pl.col(SOURCE) >= FEWEST_BOOKS) & (seen >= kind.fewest)
    if kind.most is not None:
        rule &= seen <= kind.most
    if kind.other_target_empty:
        other = next(t for t in TARGETS if t != kind.target)
        rule &= pl.col(other) == 0
    return rule


def sample_roles(seed: int, members: dict[str, list[str]], users: Users) -> Groups:
    """type -> role -> users: exactly as many training, preference and test users of each type as asked for."""
    wanted = {"train": users.train, "preference": users.preference, "test": users.test}
    return _deal(seed, "roles", members, dict.fromkeys(members, wanted))


def split_training(seed: int, train_users: dict[str, list[str]], development_share: float) -> Groups:
    """type -> `train` or `development` -> users: the 90/10 split inside the training users, by user, for every type."""
    held_out = {kind: max(1, round(development_share * len(ids))) for kind, ids in train_users.items()}
    wanted = {kind: {"development": n, "train": len(train_users[kind]) - n} for kind, n in held_out.items()}
    return _deal(seed, "development", train_users, wanted)


def _deal(seed: int, purpose: str, members: dict[str, list[str]], wanted: dict[str, dict[str, int]]) -> Groups:
    """Deal each type's users out to roles by seed. A user of two types gets one role, so that none is on both sides."""
    role_of: dict[str, str] = {}
    dealt: Groups = {}
    for kind, ids in members.items():
        order = [sorted(ids)[i] for i in generator(seed, purpose, kind).permutation(len(ids))]
        groups = {role: [u for u in order if role_of.get(u) == role][:count] for role, count in wanted[kind].items()}
        free = iter([u for u in order if u not in role_of])
        for role, count in wanted[kind].items():
            groups[role] += list(islice(free, count - len(groups[role])))
            role_of |= dict.fromkeys(groups[role], role)
        _check_enough(kind, len(ids), wanted[kind], groups)
        dealt[kind] = groups
    return dealt


def _check_enough(kind: str, found: int, wanted: dict[str, int], groups: dict[str, list[str]]) -> None:
    missing = {role: count - len(groups[role]) for role, count in wanted.items() if len(groups[role]) < count}
    if missing:
        asked = ", ".join(f"{role} {count}" for role, count in wanted.items())
        raise InputError(
            f"users: {kind} has {found} users, too few for {asked} (short of {missing}); "
            "lower users.train, users.preference or users.test, or bring more data"
        )
