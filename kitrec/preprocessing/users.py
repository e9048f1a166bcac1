"""Who is who: users classified by their counts, and disjoint groups sampled from them by seed."""

from itertools import islice

import polars as pl

from kitrec.core.domains import SOURCE, USER_TYPES, UserType
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.preprocessing.params import Users

FEWEST_BOOKS = 5
Groups = dict[str, dict[str, list[str]]]


def classify(interactions: pl.DataFrame) -> dict[str, list[str]]:
    """The users of each type, sorted. A user who overlaps in both targets belongs to both types."""
    fit = ends(interactions).filter(pl.col("unfit").is_null())
    return {kind.name: fit.filter(_belongs(kind))["user_id"].sort().to_list() for kind in USER_TYPES.values()}


def ends(interactions: pl.DataFrame) -> pl.DataFrame:
    """A row per user and target: interactions `seen` there, `targets` touched, and why the last one cannot be held out
    (`unfit`, mostly null): too few books before it, or another one in the same instant."""
    at_last = (pl.col("time") == pl.col("time").max()).sum().alias("at_last")
    last = (
        interactions.filter(pl.col("domain") != SOURCE)
        .group_by("user_id", "domain")
        .agg(pl.len().alias("seen"), pl.col("time").max().alias("last"), at_last)
    )
    books = (
        interactions.filter(pl.col("domain") == SOURCE)
        .select("user_id", "time")
        .join(last.select("user_id", "domain", "last"), on="user_id")
        .filter(pl.col("time") < pl.col("last"))
        .group_by("user_id", "domain")
        .agg(pl.len().alias("books"))
    )
    unfit = (
        pl.when(pl.col("books").fill_null(0) < FEWEST_BOOKS)
        .then(pl.lit(f"fewer than {FEWEST_BOOKS} books before the last target item"))
        .when(pl.col("at_last") > 1)
        .then(pl.lit("several target items in the last instant"))
    )
    joined = last.join(books, on=["user_id", "domain"], how="left")
    return joined.with_columns(unfit=unfit, targets=pl.len().over("user_id"))


def _belongs(kind: UserType) -> pl.Expr:
    rule = (pl.col("domain") == kind.target) & (pl.col("seen") >= kind.min_target_items)
    if kind.max_target_items is not None:
        rule &= pl.col("seen") <= kind.max_target_items
    return rule & (pl.col("targets") == 1) if kind.other_target_empty else rule


def sampled_users(roles: Groups) -> pl.DataFrame:
    """(user_id) of everyone with a role, in order."""
    names = sorted({user for groups in roles.values() for ids in groups.values() for user in ids})
    return pl.DataFrame({"user_id": names}, schema={"user_id": pl.String})


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
        by_name = sorted(ids)
        order = [by_name[i] for i in generator(seed, purpose, kind).permutation(len(ids))]
        groups = {role: [u for u in order if role_of.get(u) == role][:count] for role, count in wanted[kind].items()}
        free = iter([u for u in order if u not in role_of])
        for role, count in wanted[kind].items():
            groups[role] += list(islice(free, count - len(groups[role])))
            role_of |= dict.fromkeys(groups[role], role)
        dealt[kind] = groups
    _check_enough(members, wanted, dealt)
    return dealt


def _check_enough(members: dict[str, list[str]], wanted: dict[str, dict[str, int]], dealt: Groups) -> None:
    """Raise with every type that has too few users."""
    short = []
    for kind, groups in dealt.items():
        missing = {role: n - len(groups[role]) for role, n in wanted[kind].items() if len(groups[role]) < n}
        if missing:
            asked = ", ".join(f"{role} {count}" for role, count in wanted[kind].items())
            short.append(f"{kind} has {len(members[kind])} users, too few for {asked} (short of {missing})")
    if short:
        raise InputError(
            "users: " + "; ".join(short) + "; lower users.train, users.preference or users.test, or bring more data"
        )
