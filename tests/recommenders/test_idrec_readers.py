"""What ID models may read of a reader is what the reader's own record shows, record by record."""

import polars as pl
import pytest

from kitrec.preprocessing.dataset import ROLES
from kitrec.recommenders.data.user_histories import histories, history_interactions, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.sources.kitrec_dataset import dataset_from_records

ROWS = [  # two targets: the music was held out after two more books had been read
    ("u", "books", "b1", 5.0, 1, False),
    ("u", "movies", "m1", 5.0, 2, False),
    ("u", "movies", "m2", 5.0, 3, True),
    ("u", "books", "b2", 5.0, 4, False),
    ("u", "books", "b3", 5.0, 5, False),
    ("u", "music", "c1", 5.0, 6, True),
]
SEEN_BY_U = pl.DataFrame(ROWS, schema=dict(SPLIT_INTERACTIONS.columns), orient="row")
WORDS = Vocabulary(SEEN_BY_U["item_id"])


def listed(sequences):
    return [[WORDS.item_ids[number - 1] for number in sequences[k].tolist()] for k in range(len(sequences))]


def test_nothing_from_after_a_truth_is_read_towards_it():
    who = user_targets(SEEN_BY_U)
    assert who.rows() == [("u", "movies"), ("u", "music")]
    assert listed(histories(SEEN_BY_U, who, "both", WORDS)) == [["b1", "m1"], ["b1", "b2", "b3"]]
    assert listed(training_sequences(SEEN_BY_U, who, "both", WORDS)) == [["b1", "m1", "m2"], ["b1", "b2", "b3", "c1"]]
    assert listed(histories(SEEN_BY_U, who, "target", WORDS)) == [["m1"], []]


@pytest.mark.parametrize("source", ["interactions", "KitREC's files"])
@pytest.mark.parametrize("role", ROLES)
def test_every_record_s_sequence_is_what_the_record_shows(dataset, role, source):
    found = dataset if source == "interactions" else dataset_from_records(dataset.records)
    records = dataset.records["A"][role]
    rows = history_interactions(found.interactions[role], records.select("user_id", "target"), "both")
    for number, record in enumerate(records.iter_rows(named=True)):
        own = rows.filter(pl.col("row") == number)
        assert set(own["item_id"][:-1]) == {*record["source_items"], *record["target_items"]}
        assert own["item_id"][-1] == record["gt_item_id"] and own["held_out"][-1]


def test_a_file_s_two_records_of_a_reader_keep_their_own_books():
    """KitREC's files have no times: the record of the movies knows two books less."""
    columns = ["user_id", "target", "source_items", "target_items", "gt_item_id"]
    rows = [("u", "movies", ["b1"], ["m1"], "m2"), ("u", "music", ["b1", "b2", "b3"], [], "c1")]
    records = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        source_ratings=pl.col("source_items").list.eval(pl.lit(5.0)),
        target_ratings=pl.col("target_items").list.eval(pl.lit(5.0)).cast(pl.List(pl.Float64)),
        gt_rating=pl.lit(5.0),
    )
    seen = dataset_from_records({"A": dict.fromkeys(ROLES, records)}).interactions["test"]
    assert listed(histories(seen, user_targets(seen), "both", WORDS)) == [["b1", "m1"], ["b1", "b2", "b3"]]
