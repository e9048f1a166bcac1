"""The oracle of the synthetic world as a teacher: its lists against utilities computed by hand."""

import numpy as np
import polars as pl

from kitrec.distillation.alignment import align, full_sequences
from kitrec.distillation.oracle_teacher import oracle_lists
from kitrec.recommenders.data.user_histories import training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.synthetic.histories import USER_TRUTH
from kitrec.synthetic.items import ITEM_TRUTH
from kitrec.synthetic.params import World

WORLD = World(
    books=18,
    movies=18,
    music=18,
    themes=4,
    favourites=2,
    communities=2,
    theme_strength=2.0,
    community_strength=1.0,
    popularity_strength=0.0,
    recency_strength=0.0,
    mean_books_per_user=6,
    mean_target_items_per_user=6,
    movies_without_metadata=0.0,
    description_words=1,
)
LATER = 10**12


def made_items() -> pl.DataFrame:
    """Return m1 with both favourites, m2 with one and the community, m3 with one, m4 with none, m5 unreleased."""
    themes = {"b1": [0, 1], "b2": [2, 3], "m1": [0, 1], "m2": [0, 2], "m3": [1, 3], "m4": [2, 3], "m5": [0, 1]}
    rows = [
        (
            "books" if item[0] == "b" else "movies",
            item,
            item_themes,
            int(item == "m2"),
            0.0,
            LATER * (1 + (item == "m5")),
            1.0,
        )
        for item, item_themes in themes.items()
    ]
    return pl.DataFrame(rows, schema=dict(ITEM_TRUTH.columns), orient="row")


def test_it_lists_released_items_outside_the_history_by_utility():
    users = pl.DataFrame([("u", [0, 1], 1)], schema=dict(USER_TRUTH.columns), orient="row")
    steps = [
        ("b1", "books", 0, False),
        ("m1", "movies", 1, False),
        ("b2", "books", 2, False),
        ("m4", "movies", 3, True),
    ]
    rows = [{"user_id": "u", "item_id": i, "domain": d, "time": LATER + t, "held_out": h} for i, d, t, h in steps]
    others = [
        {"user_id": "v", "item_id": i, "domain": "movies", "time": LATER, "held_out": False} for i in ("m2", "m3", "m5")
    ]
    interactions = pl.DataFrame(rows + others).select(
        *(
            pl.col(name) if name in rows[0] else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in SPLIT_INTERACTIONS.columns.items()
        )
    )
    vocabulary, keys = Vocabulary(interactions["item_id"]), user_targets(interactions)
    sequences = full_sequences(training_sequences(interactions, keys, "both", vocabulary), keys)
    lists = oracle_lists(WORLD, sequences, vocabulary, interactions, (made_items(), users), length=3)
    assert lists["prefix_length"].to_list() == [1, 3]
    assert lists["next_id"].to_list() == ["m1", "m4"]  # books are no target
    assert lists["item_ids"].to_list() == [["m1", "m2", "m3"], ["m2", "m3", "m4"]]
    utilities = np.array([2 * 2.0, 2.0 + 1.0, 2.0, 0.0])  # m1 ... m4
    assert np.allclose(lists["distances"][0], np.log(np.exp(utilities).sum()) - utilities[:3])
    assert align(lists, sequences, vocabulary, 3, "mask").counts["distilled rows"] == 2
