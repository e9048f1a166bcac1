"""The history of a sequence model is what the user's record shows, record by record."""

import polars as pl
import pytest

from kitrec.preprocessing.dataset import ROLES
from kitrec.recommenders.data.user_histories import histories, history_interactions, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.sources.kitrec_dataset import dataset_from_records

ROWS = [  # two targets: the music was held out after two more books had been read
    ("u", "books", "b1", 5.0, 1, False),
    ("u", "movies", "m1", 5.0, 2, False),
    ("u", "movies", "m2", 5.0, 3, True),
    ("u", "books", "b2", 5.0, 4, False),
    ("u", "books", "b3", 5.0, 5, False),
    ("u", "music", "c1", 5.0, 6, True),
]
INTERACTIONS = pl.DataFrame(ROWS, schema=dict(SPLIT_INTERACTIONS.columns), orient="row")
VOCABULARY = Vocabulary(INTERACTIONS["item_id"])


def item_ids(sequences):
    return [[VOCABULARY.item_ids[number - 1] for number in sequences[k].tolist()] for k in range(len(sequences))]


def test_a_history_ends_before_its_held_out_item():
    users = user_targets(INTERACTIONS)
    assert users.rows() == [("u", "movies"), ("u", "music")]
    assert item_ids(histories(INTERACTIONS, users, "both", VOCABULARY)) == [["b1", "m1"], ["b1", "b2", "b3"]]
    assert item_ids(training_sequences(INTERACTIONS, users, "both", VOCABULARY)) == [
        ["b1", "m1", "m2"],
        ["b1", "b2", "b3", "c1"],
    ]
    assert item_ids(histories(INTERACTIONS, users, "target", VOCABULARY)) == [["m1"], []]


@pytest.mark.parametrize("source", ["interactions", "KitREC's files"])
@pytest.mark.parametrize("role", ROLES)
def test_the_sequence_of_a_record_holds_the_items_that_the_record_shows(dataset, role, source):
    data = dataset if source == "interactions" else dataset_from_records(dataset.records)
    records = dataset.records["A"][role]
    rows = history_interactions(data.interactions[role], records.select("user_id", "target"), "both")
    for number, record in enumerate(records.iter_rows(named=True)):
        history = rows.filter(pl.col("row") == number)
        assert set(history["item_id"][:-1]) == {*record["source_items"], *record["target_items"]}
        assert history["item_id"][-1] == record["gt_item_id"] and history["held_out"][-1]


def test_two_records_of_a_user_keep_their_separate_books():
    """KitREC's files have no times: the record of the movies knows two books less."""
    columns = ["user_id", "target", "source_items", "target_items", "gt_item_id"]
    rows = [("u", "movies", ["b1"], ["m1"], "m2"), ("u", "music", ["b1", "b2", "b3"], [], "c1")]
    records = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        source_ratings=pl.col("source_items").list.eval(pl.lit(5.0)),
        target_ratings=pl.col("target_items").list.eval(pl.lit(5.0)).cast(pl.List(pl.Float64)),
        gt_rating=pl.lit(5.0),
    )
    interactions = dataset_from_records({"A": dict.fromkeys(ROLES, records)}).interactions["test"]
    assert item_ids(histories(interactions, user_targets(interactions), "both", VOCABULARY)) == [
        ["b1", "m1"],
        ["b1", "b2", "b3"],
    ]
