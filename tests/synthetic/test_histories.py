from dataclasses import replace

import numpy as np
import polars as pl

from kitrec.core.domains import KITREC
from kitrec.core.randomness import generator
from kitrec.synthetic.histories import (
    SyntheticUsers,
    draw_choices,
    draw_users,
    static_utility,
    theme_matches,
    utility_at,
)
from kitrec.synthetic.items import YEAR_MS
from tests.conftest import USERS, WORLD

TRUTH = pl.DataFrame(
    {
        "themes": [[0, 1], [1, 2], [3, 4], [4, 0]],
        "community": [0, 1, 0, 1],
        "log_popularity": [0.0, -1.0, -2.0, -0.5],
        "release": [0, 0, 0, 5 * YEAR_MS],
        "quality": [0.0] * 4,
    }
)


def test_theme_matches_count_the_favourite_themes_of_an_item():
    assert theme_matches(np.array([[0, 1, 5], [4, 3, 2]]), TRUTH).tolist() == [[2, 1, 0, 1], [0, 1, 2, 1]]


def test_utility_equals_a_value_computed_by_hand():
    world = replace(WORLD, theme_strength=2.0, community_strength=1.5, popularity_strength=0.5, recency_strength=0.1)
    static = static_utility(world, np.array([[0, 1, 5]]), np.array([1]), TRUTH)
    value = utility_at(world, static, TRUTH, np.array([3 * YEAR_MS]))[0]
    by_hand = [2 * 2 + 0 + 0 - 0.3, 2 * 1 + 1.5 - 0.5 - 0.3, 0 + 0 - 1.0 - 0.3]
    assert np.allclose(value[:3], by_hand)
    assert value[3] == -np.inf  # released two years later


def test_choices_follow_the_multinomial_logit():
    """20,000 users of one taste choose once: the shares are softmax(U) (chi-square, 3 degrees of freedom)."""
    n = 20_000
    users = SyntheticUsers(["u"] * n, np.tile([0, 1, 5], (n, 1)), np.ones(n, dtype=int), np.zeros((n, 2)))
    world = replace(WORLD, theme_strength=0.7)
    times = np.full((n, 1), 9 * YEAR_MS)
    chosen, _ = draw_choices(generator(1, "test"), world, users, TRUTH, times)
    static = static_utility(world, users.favourites[:1], users.community[:1], TRUTH)
    value = utility_at(world, static, TRUTH, times[0])[0]
    expected = n * np.exp(value) / np.exp(value).sum()
    observed = np.bincount(chosen[:, 0], minlength=4)
    assert ((observed - expected) ** 2 / expected).sum() < 16.3  # 99.9 % point


def test_users_have_the_counts_of_their_type(world):
    counts = world.interactions.group_by("user_id", "domain").len()
    for number, user_type in enumerate(KITREC.user_types.values()):
        user_counts = counts.filter(pl.col("user_id").str.starts_with(f"U{number:02d}"))
        targets = user_counts.filter(pl.col("domain") == user_type.target)["len"]
        assert targets.len() == USERS.per_type
        assert targets.min() >= user_type.min_target_items and (
            user_type.max_target_items is None or targets.max() <= user_type.max_target_items
        )
        others = user_counts.filter(~pl.col("domain").is_in([user_type.target, KITREC.source]))
        assert not (user_type.other_target_empty and others.height)
        assert user_counts.filter(pl.col("domain") == KITREC.source)["len"].min() >= 5


def test_five_books_come_before_every_last_target_interaction(world):
    last = (
        world.interactions.filter(pl.col("domain") != KITREC.source)
        .group_by("user_id", "domain")
        .agg(pl.col("time").max())
    )
    books = world.interactions.filter(pl.col("domain") == KITREC.source).select("user_id", book_time="time")
    before = (
        last.join(books, on="user_id").filter(pl.col("book_time") < pl.col("time")).group_by("user_id", "domain").len()
    )
    assert before.height == last.height and before["len"].min() >= 5


def test_no_item_is_chosen_twice_or_before_its_release(world):
    joined = world.interactions.join(world.item_truth, on="item_id")
    assert not world.interactions.select("user_id", "item_id").is_duplicated().any()
    assert (joined["time"] >= joined["release"]).all()


def test_favourite_themes_and_the_community_influence_the_choices(world):
    joined = world.interactions.join(world.item_truth, on="item_id").join(world.user_truth, on="user_id")
    share = joined.select(pl.col("themes").list.set_intersection("favourites").list.len() > 0).to_series().mean()
    same = (joined["community"] == joined["community_right"]).mean()
    assert share > 0.9  # a random item has one of three favourite themes among ten in 53 % of cases
    assert same > 0.35  # of four communities


def test_the_same_seed_draws_the_same_users():
    user_type = KITREC.user_types["source_only_music"]
    first, second = (draw_users(generator(5, "people"), WORLD, user_type, 10) for _ in range(2))
    assert (first.favourites == second.favourites).all() and first.ids == second.ids
