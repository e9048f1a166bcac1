"""The world's oracle as a teacher: its lists are the utilities worked out reader by reader."""

import numpy as np
import polars as pl

from kitrec.distillation.alignment import align, whole
from kitrec.distillation.oracle_teacher import oracle_lists
from kitrec.recommenders.data.user_histories import training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
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


def items() -> pl.DataFrame:
    """m1 has both favourites, m2 one and the community, m3 one, m4 none; m5 has both and is not out yet."""
    themes = {"b1": [0, 1], "b2": [2, 3], "m1": [0, 1], "m2": [0, 2], "m3": [1, 3], "m4": [2, 3], "m5": [0, 1]}
    rows = [
        ("books" if item[0] == "b" else "movies", item, own, int(item == "m2"), 0.0, LATER * (1 + (item == "m5")), 1.0)
        for item, own in themes.items()
    ]
    return pl.DataFrame(rows, schema=dict(ITEM_TRUTH.columns), orient="row")


def test_it_lists_what_the_reader_would_like_best_of_what_is_out_and_unread():
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
    seen = pl.DataFrame(rows + others).select(
        *(
            pl.col(name) if name in rows[0] else pl.lit(None, dtype=own).alias(name)
            for name, own in SPLIT_INTERACTIONS.columns.items()
        )
    )
    vocabulary, who = Vocabulary(seen["item_id"]), user_targets(seen)
    own = whole(training_sequences(seen, who, "both", vocabulary), who)
    found = oracle_lists(WORLD, own, vocabulary, seen, (items(), users), length=3)
    assert found["seen"].to_list() == [1, 3] and found["next_id"].to_list() == ["m1", "m4"]  # books are no target
    assert found["item_ids"].to_list() == [["m1", "m2", "m3"], ["m2", "m3", "m4"]]
    utilities = np.array([2 * 2.0, 2.0 + 1.0, 2.0, 0.0])  # m1 ... m4
    assert np.allclose(found["distances"][0], np.log(np.exp(utilities).sum()) - utilities[:3])
    assert align(found, own, vocabulary, 3, "mask").told["distilled rows"] == 2
