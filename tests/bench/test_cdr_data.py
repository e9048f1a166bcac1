"""Cold users of the public cross-domain data: which are cut, to how much, and what stays."""

import numpy as np
import polars as pl
import pytest

from bench.cdr_data import build_pair, cut
from kitrec.core.errors import InputError

CORES = (1, 2, 3)


@pytest.fixture
def made_pair():
    """40 users with 5 items of one side and 2 of the other before the held-out ones, no item shared."""
    rows = [
        {"side": side, "user": f"{user:02}", "item": f"{side}-{user}-{at}", "time": at, "held_out": at == count}
        for user in range(40)
        for side, count in ((0, 5), (1, 2))
        for at in range(count + 1)
    ]
    return build_pair(("one", "other"), pl.DataFrame(rows))


def ratings_of_side(sequences, made_pair, side):
    users = sequences.users[made_pair.item_domains.sides[sequences.items] == side]
    return np.bincount(users, minlength=len(sequences))


def test_cores_share_no_user_and_each_is_cut_to_that_many_ratings_with_the_held_out_one(made_pair):
    shorter, groups = cut(made_pair, 0, CORES, 0.2, seed=3)
    users = np.concatenate([*groups.values()])
    assert len(np.unique(users)) == len(users) == 3 * 8
    left = ratings_of_side(shorter.before_test, made_pair, 0)
    for core, members in groups.items():
        assert (left[members] + 1 == core).all()
    assert (np.delete(left, users) == 5).all()


def test_over_four_turns_every_core_has_the_same_users(made_pair):
    turns = [cut(made_pair, 0, (1, 2, 3, 4), 0.2, seed=3, turn=turn)[1] for turn in range(4)]
    whole = {core: np.sort(np.concatenate([groups[core] for groups in turns])) for core in turns[0]}
    assert all((users == whole[1]).all() for users in whole.values())
    assert len(np.unique(whole[1])) == 4 * 8


def test_cutting_leaves_the_other_side_and_the_touched_items(made_pair):
    shorter, groups = cut(made_pair, 0, CORES, 0.2, seed=3)
    assert (ratings_of_side(shorter.before_test, made_pair, 1) == 2).all()
    assert shorter.touched is made_pair.touched
    assert not shorter.validation[np.concatenate([*groups.values()]), 0].any()
    assert (shorter.validation[:, 1] == made_pair.validation[:, 1]).all()


def test_cutting_keeps_the_first_items(made_pair):
    shorter, groups = cut(made_pair, 0, CORES, 0.2, seed=3)
    user = groups[3][0]
    kept = shorter.before_test.items[shorter.before_test.users == user]
    assert [made_pair.ids[item - 1] for item in kept if made_pair.item_domains.sides[item] == 0] == [
        f"0-{user}-0",
        f"0-{user}-1",
    ]


def test_too_few_users_for_the_cores_is_an_error_that_names_the_side(made_pair):
    with pytest.raises(InputError, match="40 users have 3 ratings of other"):
        cut(made_pair, 1, CORES, 0.4, seed=3)
