from dataclasses import replace

import polars as pl
import pytest

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Users
from kitrec.preprocessing.users import classify, last_target_interactions, sample_roles, split_training


def made_interactions(**counts: tuple[int, int, int]) -> pl.DataFrame:
    """Books at times 0, 1, ..., target items at 100, 101, ..."""
    rows = [
        (user, domain, f"{domain}{k}", k + 100 * (domain != "books"))
        for user, numbers in counts.items()
        for domain, n in zip(("books", "movies", "music"), numbers, strict=True)
        for k in range(n)
    ]
    return pl.DataFrame(rows, schema=["user_id", "domain", "item_id", "time"], orient="row")


def test_users_are_classified_as_specified():
    interactions = made_interactions(
        warm=(5, 5, 0), both=(9, 7, 6), four=(5, 4, 0), three=(6, 0, 3), two=(5, 2, 0), one=(8, 0, 1),
        few_books=(4, 5, 0), mixed=(5, 4, 1), nothing=(7, 0, 0),
    )  # fmt: skip
    members = classify(interactions, KITREC, 5)
    nonempty = {user_type: users for user_type, users in members.items() if users}
    assert nonempty == {
        "overlapping_books_movies": ["both", "warm"],
        "cold_start_4core_movies": ["four"],
        "cold_start_2core_movies": ["two"],
        "overlapping_books_music": ["both"],
        "cold_start_3core_music": ["three"],
        "source_only_music": ["one"],
    }
    assert list(members) == list(KITREC.user_types)


def test_users_whose_last_item_cannot_be_held_out_are_excluded():
    rows = made_interactions(late=(5, 2, 0), tied=(5, 2, 0), fine=(5, 2, 0)).with_columns(
        time=pl.when(pl.col("item_id") == "books4", pl.col("user_id") == "late")
        .then(101)  # at the time of the last movie, so not before it
        .when(pl.col("item_id") == "movies0", pl.col("user_id") == "tied")
        .then(101)
        .otherwise("time")
    )
    assert classify(rows, KITREC, 5)["cold_start_2core_movies"] == ["fine"]
    reasons = dict(last_target_interactions(rows, KITREC, 5).select("user_id", "exclusion_reason").iter_rows())
    assert reasons["late"] == "fewer than 5 books before the last target item" and reasons["fine"] is None
    assert reasons["tied"] == "several target items in the last instant"


def members_of_two_types(size: int) -> dict[str, list[str]]:
    shared = [f"s{k}" for k in range(size // 2)]
    return {
        "overlapping_books_movies": shared + [f"m{k}" for k in range(size)],
        "overlapping_books_music": shared + [f"n{k}" for k in range(size)],
    }


def test_roles_have_exact_sizes_and_are_disjoint():
    users = Users(train=30, preference=12, test=30, development_share=0.1, min_source_items=5, cut=False)
    groups = sample_roles(3, members_of_two_types(72), users)
    everyone: dict[str, set[str]] = {}
    for kind_groups in groups.values():
        assert {role: len(ids) for role, ids in kind_groups.items()} == {"train": 30, "preference": 12, "test": 30}
        for role, ids in kind_groups.items():
            everyone.setdefault(role, set()).update(ids)
    assert not everyone["train"] & everyone["test"] and not everyone["preference"] & everyone["test"]
    assert not everyone["train"] & everyone["preference"]


def test_roles_do_not_depend_on_the_order_of_users():
    users = Users(train=10, preference=2, test=10, development_share=0.1, min_source_items=5, cut=False)
    members = members_of_two_types(40)
    shuffled = {user_type: sorted(ids, reverse=True) for user_type, ids in members.items()}
    assert sample_roles(3, members, users) == sample_roles(3, shuffled, users)
    assert sample_roles(3, members, users) != sample_roles(4, members, users)


def test_the_specified_counts_are_exact():
    members = {user_type: [f"{user_type}-{k}" for k in range(3000)] for user_type in KITREC.user_types}
    split = split_training(42, members, 0.1)
    dualft = [user_type for user_type, k in KITREC.user_types.items() if k.model == "dualft-movies"]
    assert sum(len(split[user_type]["train"]) for user_type in dualft) == 10_800
    assert sum(len(split[user_type]["development"]) for user_type in dualft) == 1_200
    assert len(split["source_only_music"]["train"]) == 2_700 and len(split["source_only_music"]["development"]) == 300


def test_a_user_of_two_types_is_on_one_side_of_the_split():
    split = split_training(1, members_of_two_types(60), 0.2)
    train = {u for groups in split.values() for u in groups["train"]}
    assert not train & {u for groups in split.values() for u in groups["development"]}


def test_too_few_users_are_an_error_with_counts():
    users = Users(train=30, preference=0, test=30, development_share=0.1, min_source_items=5, cut=False)
    with pytest.raises(
        InputError, match=r"source_only_music has 45 users, too few for train 30, preference 0, test 30"
    ):
        sample_roles(1, {"source_only_music": [f"u{k}" for k in range(45)]}, users)


def test_a_limit_caps_every_role():
    users = Users(train=120, preference=1, test=60, development_share=0.1, min_source_items=5, cut=False)
    assert users.limited(20) == replace(users, train=20, preference=1, test=20)
    assert users.limited(None) is users
