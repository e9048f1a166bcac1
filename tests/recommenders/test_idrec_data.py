"""From tables to sequences and back to rankings: what a model reads, what it had to do without, what is kept of it."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import leave_one_out, of_lists, of_rows
from kitrec.recommenders.data.user_histories import histories, readers, truths, with_truths
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import Method
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.full import places, quality, represent
from kitrec.recommenders.sequence_training import Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from kitrec.recommenders.train import TrainingData, train_recommender
from kitrec.schemas.rankings import from_scores
from tests.recommenders.made_models import CE, ITEMS, KINDS, a_course, a_model, model_params, some_sequences

SEEN = pl.DataFrame(
    [
        ("u1", "books", "b1", 10, False),
        ("u1", "movies", "m1", 20, False),
        ("u1", "books", "b2", 30, False),
        ("u1", "music", "c1", 35, True),
        ("u1", "movies", "m2", 40, True),
        ("u2", "books", "b3", 10, False),
        ("u2", "music", "c2", 50, True),
    ],
    schema=["user_id", "domain", "item_id", "time", "held_out"],
    orient="row",
)


def lists(sequences, vocabulary):
    return [vocabulary.ids(sequences[user]) for user in range(len(sequences))]


def test_a_reader_of_two_targets_is_two_rows_and_each_sees_its_own_target_and_the_books():
    who, vocabulary = readers(SEEN), Vocabulary(SEEN["item_id"])
    assert who.rows() == [("u1", "movies"), ("u1", "music"), ("u2", "music")]
    both = histories(SEEN, who, "both", vocabulary)
    assert lists(both, vocabulary) == [["b1", "m1", "b2"], ["b1", "b2"], ["b3"]]
    alone = histories(SEEN, who, "target", vocabulary)
    assert lists(alone, vocabulary) == [["m1"], [], []]
    learned = with_truths(SEEN, who, "both", vocabulary)
    assert lists(learned, vocabulary) == [["b1", "m1", "b2", "m2"], ["b1", "b2", "c1"], ["b3", "c2"]]
    assert vocabulary.ids(truths(SEEN, who, vocabulary)) == ["m2", "c1", "c2"]


def test_items_that_training_does_not_know_are_left_out():
    vocabulary = Vocabulary(["b1", "m2"])
    assert lists(histories(SEEN, readers(SEEN), "both", vocabulary), vocabulary) == [["b1"], ["b1"], []]
    assert truths(SEEN, readers(SEEN), vocabulary).tolist() == [2, 0, 0]


def records(candidates):
    return pl.DataFrame(
        {
            "record_id": [f"r{k}" for k in range(3)],
            "user_id": ["u1", "u1", "u2"],
            "target": ["movies", "music", "music"],
            "candidate_ids": candidates,
            "candidate_hash": ["h"] * 3,
        }
    )


def test_unknown_candidates_stand_last_and_readers_without_a_history_get_popularity():
    vocabulary = Vocabulary(["b1", "b2", "c1", "c2", "m1", "m2"])
    popularity = np.array([0, 0, 0, 5, 9, 2, 1], dtype=np.float32)
    stored = StoredModel(a_model("sasrec", items=6), vocabulary, popularity, {})
    asked = records([["m1", "new", "m2"], ["c1", "c2", "x"], ["y", "c1", "c2"]])
    scored = score_records(stored, asked, SEEN, "target")
    told = {"n": 3, "ranked_by_popularity": 2, "unknown_candidates": round(3 / 9, 6), "unknown_history": 0.0}
    assert scored.counts() == told
    both = score_records(stored, asked, SEEN, "both").counts()  # b1 b2 m1, b1 b2, and the unknown b3
    assert both["unknown_history"] == round(1 / 6, 6) and both["ranked_by_popularity"] == 1
    ranked = from_scores("sasrec", asked, scored.scores)["item_ids"].to_list()
    assert [own[-1] for own in ranked] == ["new", "x", "y"]
    assert ranked[1][:2] == ["c2", "c1"] and ranked[2][:2] == ["c2", "c1"]


def test_candidates_may_differ_in_number():
    vocabulary = Vocabulary(["b1", "b2", "b3", "c1", "c2", "m1", "m2"])
    stored = StoredModel(a_model("sasrec", items=7), vocabulary, np.zeros(8, dtype=np.float32), {})
    asked = records([["m1"], ["c1", "c2"], ["c2", "c1", "m2", "b1"]])
    assert [len(row) for row in score_records(stored, asked, SEEN, "both").scores] == [1, 2, 4]


def test_leave_one_out_gives_each_item_to_one_side():
    split = leave_one_out(of_lists([[1, 2, 3, 4], [5, 6], [7, 8, 9]]))
    assert split.test.tolist() == [4, 9] and split.validation.tolist() == [3, 8]
    assert [own.tolist() for own in (split.before_test[0], split.before_validation[0])] == [[1, 2, 3], [1, 2]]
    assert [split.train[user].tolist() for user in range(3)] == [[1, 2], [7], [5, 6]]


def test_sequences_are_cut_extended_and_picked_like_lists():
    rng = np.random.default_rng(0)
    own = [rng.integers(1, 9, size=n).tolist() for n in (3, 1, 5, 2)]
    sequences, order = of_lists(own), np.array([2, 0, 2])
    assert [s.tolist() for s in sequences.take(order)] == [own[2], own[0], own[2]]
    assert [s.tolist() for s in sequences.newest(2)] == [s[-2:] for s in own]
    assert [s.tolist() for s in sequences.without_last(2)] == [s[:-2] for s in own]
    assert [s.tolist() for s in sequences.extended(9)] == [[*s, 9] for s in own]
    assert sequences.without_last(1).last().tolist() == [own[0][1], 0, own[2][3], own[3][0]]


def test_a_user_without_rows_has_an_empty_sequence():
    assert of_rows(np.array([0, 0, 2]), np.array([4, 5, 6]), 4).lengths.tolist() == [2, 0, 1, 0]


def test_quality_of_places_by_hand():
    """Ranks 1, 3 and a tie over 2-3 whose expectation is the mean of both."""
    found = quality(np.array([0, 2, 1]), np.array([1, 1, 2]), depth=2)
    assert found["hit@2"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert found["ndcg@2"] == pytest.approx((1 + 0 + 0.5 / np.log2(3)) / 3)
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + (1 / 2 + 1 / 3) / 2) / 3)


def test_equal_scores_of_all_items_are_one_tie_without_those_that_were_seen():
    model = a_model("sasrec")
    with torch.no_grad():
        model.items.weight.zero_()
    better, equal = places(model, of_lists([[1, 2, 3]]), np.array([7]))
    assert (better[0], equal[0]) == (0, ITEMS - 3)


def a_method(kind: str, **course) -> Method:
    return Method(history="both", model=model_params(kind, dropout=0.2), loss=CE, course=a_course(**course))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_model_comes_back_as_it_was(kind, tmp_path):
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(a_model(kind), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {"epoch": 3})
    save_model(stored, model_params(kind), tmp_path / "model")
    back = load_model(tmp_path / "model")
    histories_ = some_sequences(10)
    assert torch.equal(represent(stored.model, histories_), represent(back.model, histories_))
    assert (back.vocabulary.item_ids, back.metrics) == (vocabulary.item_ids, {"epoch": 3})
    assert (back.popularity == stored.popularity).all()


@pytest.mark.parametrize("damage", ["weights", "json", "shape"])
def test_a_damaged_model_is_one_message(damage, tmp_path):
    folder = tmp_path / "model"
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(a_model("sasrec"), vocabulary, np.zeros(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), folder)
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"half")
    elif damage == "json":
        (folder / "model.json").write_text("{")
    else:
        told = files.read_json(folder / "model.json")
        (folder / "model.json").write_text(json.dumps({**told, "items": told["items"][:-1]}))
    with pytest.raises(InputError, match="model"):
        load_model(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_broke_off_ends_with_the_same_bytes(kind, tmp_path):
    sequences = some_sequences(120, seed=7)
    split = leave_one_out(sequences)
    validation = Validation(split.before_validation, split.validation)
    usable = np.flatnonzero(validation.histories.lengths > 0)
    validation = Validation(validation.histories.take(usable), validation.targets[usable])

    def run(folder, stop=None):
        folder.mkdir(exist_ok=True)

        def told(progress):
            if progress.epoch == stop:
                raise KeyboardInterrupt

        return train_sequence_model(a_method(kind, epochs=6), Known(), ITEMS, split.train, validation, 1, folder, told)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", stop=3)
    resumed = run(tmp_path / "broken")
    assert whole.progress == resumed.progress
    pairs = zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_best_epoch_is_kept_and_patience_ends_it(tmp_path):
    noise = some_sequences(60, seed=9)
    split = leave_one_out(noise)
    usable = np.flatnonzero(split.before_validation.lengths > 0)
    validation = Validation(split.before_validation.take(usable), split.validation[usable])
    fitted = train_sequence_model(
        a_method("sasrec", epochs=200, patience=3), Known(), ITEMS, split.train, validation, 1, tmp_path, lambda _: None
    )
    rows = [row["ndcg@10"] for row in fitted.progress.rows]
    assert len(rows) < 200 and rows.index(max(rows)) == len(rows) - 4 == fitted.progress.best_epoch - 1
    again = quality(*places(fitted.model, validation.histories, validation.targets))["ndcg@10"]
    assert again == pytest.approx(max(rows), abs=1e-12)


def test_full_data_learns_from_everything_and_keeps_the_least_loss(tmp_path):
    method = a_method("sasrec", mode="full_data", epochs=4)
    fitted = train_sequence_model(method, Known(), ITEMS, some_sequences(40), None, 1, tmp_path, lambda _: None)
    losses = [row["loss"] for row in fitted.progress.rows]
    assert len(losses) == 4 and fitted.progress.best_epoch == losses.index(min(losses)) + 1


def test_full_data_also_learns_from_the_development_readers(tmp_path):
    development = SEEN.with_columns(user_id=pl.col("user_id") + "d", item_id=pl.col("item_id") + "d")
    items = pl.DataFrame(schema={"item_id": pl.String, "title": pl.String, "categories": pl.List(pl.String)})
    told = {}
    for mode in ("standard", "full_data"):
        given = TrainingData(1, items, SEEN, pl.concat([development, SEEN]), tmp_path / f"work-{mode}")
        given.work.mkdir()
        told[mode] = train_recommender(
            a_method("sasrec", mode=mode, epochs=1), given, lambda _: None, tmp_path / mode
        ).metrics
    assert (told["standard"]["sequences"], told["standard"]["items"]) == (3, 7)
    assert (told["full_data"]["sequences"], told["full_data"]["items"]) == (6, 14)
