import re

import polars as pl

from kitrec.core.domains import KITREC
from kitrec.core.randomness import generator
from kitrec.synthetic.build import build_world
from kitrec.synthetic.ids import draw_ids, symbols
from tests.conftest import WORLD


def test_the_same_seed_makes_the_same_world(world):
    again = build_world(7, WORLD, 20)
    assert again.items.equals(world.items) and again.interactions.equals(world.interactions)
    assert not build_world(8, WORLD, 20).items.equals(world.items)


def test_every_theme_has_a_different_word_in_every_domain(world):
    words = [word for domain_words in world.themes.values() for word in domain_words]
    assert len(set(words)) == len(words) == 3 * WORLD.themes


def test_only_the_categories_reveal_the_themes(world):
    joined = world.items.join(world.item_truth, on="item_id").filter("has_metadata")
    for row in joined.iter_rows(named=True):
        words = world.themes[row["domain"]]
        assert row["categories"] == [words[k] for k in row["themes"]]
        assert not set(re.findall(r"\w+", f"{row['title']} {row['description']}")) & set(words)


def test_only_movies_lack_metadata(world):
    missing = world.items.filter(~pl.col("has_metadata"))
    assert set(missing["domain"]) == {"movies"}
    assert missing["title"].null_count() == missing.height and missing["categories"].list.len().sum() == 0


def test_ids_are_unique_and_of_ten_letters(world):
    ids = world.items["item_id"]
    assert ids.is_unique().all() and ids.str.contains(r"^[A-Z]{10}$").all()
    many = draw_ids(generator(0, "x"), 20_000)
    assert len(set(many)) == 20_000


def test_the_first_symbols_do_not_depend_on_the_number_of_symbols():
    assert symbols(64) == symbols(200)[:64] and len(set(symbols(200))) == 200


def test_rehearsal_worlds_have_no_cross_domain_map_and_no_title_of_other_worlds(world):
    rehearsal = build_world(7, WORLD, 3, rehearsal=True)
    assert all(rehearsal.themes[domain] == rehearsal.themes["books"] for domain in KITREC.labels)
    assert not set(rehearsal.items["title"].drop_nulls()) & set(world.items["title"].drop_nulls())
