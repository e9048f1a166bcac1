"""Cold users of the public cross-domain data: who is cut, to how much, and what stays."""

import numpy as np
import polars as pl
import pytest

from bench.cdr_data import _pair, cut
from kitrec.core.errors import InputError

CORES = (1, 2, 3)


@pytest.fixture
def pair():
    """40 users with 5 items of one side and 2 of the other before the held-out ones, all of their own."""
    rows = [
        {"side": side, "user": f"{user:02}", "item": f"{side}-{user}-{at}", "time": at, "held_out": at == count}
        for user in range(40)
        for side, count in ((0, 5), (1, 2))
        for at in range(count + 1)
    ]
    return _pair(("one", "other"), pl.DataFrame(rows))


def had(sequences, pair, side):
    own = sequences.users[pair.catalogue.sides[sequences.items] == side]
    return np.bincount(own, minlength=len(sequences))


def test_every_core_has_its_own_users_with_so_many_ratings_held_out_one_included(pair):
    shorter, groups = cut(pair, 0, CORES, 0.2, seed=3)
    users = np.concatenate([*groups.values()])
    assert len(np.unique(users)) == len(users) == 3 * 8
    left = had(shorter.before_test, pair, 0)
    for core, own in groups.items():
        assert (left[own] + 1 == core).all()
    assert (np.delete(left, users) == 5).all()


def test_in_four_turns_the_same_users_stand_in_every_core(pair):
    turns = [cut(pair, 0, (1, 2, 3, 4), 0.2, seed=3, turn=turn)[1] for turn in range(4)]
    whole = {core: np.sort(np.concatenate([own[core] for own in turns])) for core in turns[0]}
    assert all((users == whole[1]).all() for users in whole.values())
    assert len(np.unique(whole[1])) == 4 * 8


def test_the_other_side_and_what_was_touched_stay(pair):
    shorter, groups = cut(pair, 0, CORES, 0.2, seed=3)
    assert (had(shorter.before_test, pair, 1) == 2).all()
    assert shorter.touched is pair.touched
    assert not shorter.validation[np.concatenate([*groups.values()]), 0].any()
    assert (shorter.validation[:, 1] == pair.validation[:, 1]).all()


def test_the_first_items_are_kept_not_the_last(pair):
    shorter, groups = cut(pair, 0, CORES, 0.2, seed=3)
    one = groups[3][0]
    kept = shorter.before_test.items[shorter.before_test.users == one]
    assert [pair.ids[item - 1] for item in kept if pair.catalogue.sides[item] == 0] == [f"0-{one}-0", f"0-{one}-1"]


def test_too_few_users_for_the_cores_is_an_error_that_names_the_side(pair):
    with pytest.raises(InputError, match="40 users have 3 ratings of other"):
        cut(pair, 1, CORES, 0.4, seed=3)
