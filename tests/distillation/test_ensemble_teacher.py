"""The ensemble: its arithmetic by hand and by scipy, what it lists, and that a fold never learned from its readers."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata, zscore

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.distillation import ensemble, params
from kitrec.distillation.alignment import align
from kitrec.distillation.ensemble import combined, fit_ensemble, teach
from kitrec.distillation.ensemble_members import EASEMember, member
from kitrec.distillation.ensemble_storage import load_ensemble, save_members
from kitrec.distillation.prefixes import before, came, places_of
from kitrec.distillation.topk_lists import listed
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models import ease
from kitrec.recommenders.models.params import EASE, ItemKNN, RandomWalk
from kitrec.recommenders.params import NonParametricMethod, SequenceMethod
from kitrec.schemas.teacher_lists import TEACHER
from tests.distillation.made_teachers import VOCABULARY, named, some_rows
from tests.recommenders.made_models import CE, ITEMS, made_sequences, made_training_config, model_params

KNN = NonParametricMethod(history="target", model=ItemKNN(kind="item_knn", neighbours=10, shrink=0.0))
WALK = NonParametricMethod(history="target", model=RandomWalk(kind="random_walk", alpha=0.5, hops=2))
FLAT = NonParametricMethod(history="target", model=EASE(kind="ease", rank=40, penalty=2.0))
SASREC = SequenceMethod(
    history="target",
    model=model_params("sasrec"),
    loss=CE,
    training=made_training_config(mode="full_data", epochs=2, batch_size=8),
)


def made_of(members, **changed) -> params.Ensemble:
    return params.Ensemble(members=members, **({"combine": "z_score", "folds": 1, "length": 5} | changed))


def test_places_are_every_past_and_what_came():
    sequences = sequences_from_lists([[4, 5, 6], [7], [8, 9]])
    places = places_of(sequences)
    asked = before(sequences, places)
    assert [asked[k].tolist() for k in range(3)] == [[4], [4, 5], [8]]
    assert came(sequences, places).tolist() == [5, 6, 9]


def test_scores_are_combined_as_scipy_does():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(4, 9)), rng.normal(size=(4, 9)) * 100
    expected = (zscore(one, axis=1) + zscore(other, axis=1)) / 2
    assert np.allclose(combined([one, other], "z_score"), expected)
    ranks = (1 / (60 + rankdata(-one, axis=1)) + 1 / (60 + rankdata(-other, axis=1))) / 2
    assert np.allclose(combined([one, other], "reciprocal_rank"), zscore(ranks, axis=1))
    assert not combined([np.ones((2, 5))], "z_score").any()  # a member without an opinion says nothing


def test_every_training_row_has_a_list_without_its_past(tmp_path):
    rows = some_rows(20, seed=2)
    teacher = teach(
        made_of({"knn": KNN, "ease": FLAT, "walk": WALK, "sasrec": SASREC}, folds=2), rows, VOCABULARY, 0, tmp_path
    )
    tables.write(teacher.lists, tmp_path / "teacher.parquet", TEACHER)
    lists = align(teacher.lists, rows, VOCABULARY, 5, "refuse")
    assert lists.told["distilled rows"] == len(places_of(rows.sequences))
    for row in teacher.lists.iter_rows(named=True):
        past = rows.sequences[int(row["user_id"][1:])][: row["seen"]]
        assert not set(VOCABULARY.ids(past)) & set(row["item_ids"])
        assert row["distances"] == sorted(row["distances"])
        assert np.exp(-np.array(row["distances"])).sum() < 1
    # SASRec's 16 and EASE's directions, of two folds
    assert teacher.embeddings.vectors.shape[0] == ITEMS
    assert teacher.embeddings.vectors.shape[1] > 32


def test_neighbours_list_what_was_read_together(tmp_path):
    # 1 and 2 are always together, so are 3 and 4
    rows = named(sequences_from_lists([[1, 2], [2, 1], [3, 4], [4, 3]]))
    teacher = teach(made_of({"knn": KNN}, length=1), rows, VOCABULARY, 0, tmp_path)
    assert [own[0] for own in teacher.lists["item_ids"]] == ["i02", "i01", "i04", "i03"]
    assert teacher.embeddings is None


def test_a_fold_never_learned_from_its_own_readers(tmp_path, monkeypatch):
    rows = some_rows(30, seed=6)
    twice = pl.concat([rows.who[:15], rows.who[:15].with_columns(target=pl.lit("Music"))])
    rows = type(rows)(rows.sequences, twice, rows.skipped)
    learned = []

    def spy(p, sequences, *rest):
        learned.append(sequences)
        return member(p, sequences, *rest)

    monkeypatch.setattr(ensemble, "member", spy)
    teach(made_of({"knn": KNN}, folds=3), rows, VOCABULARY, 0, tmp_path)
    fold = ensemble._folds(rows, 3, 0)
    assert fold[:15].tolist() == fold[15:].tolist()  # both sequences of a reader
    for number, own in enumerate(learned):
        others = rows.sequences.take(np.flatnonzero(fold != number))
        assert own.items.tolist() == others.items.tolist()


def test_a_list_is_no_longer_than_what_is_left(tmp_path):
    rows = named(sequences_from_lists([range(1, ITEMS), range(5, 9)]))
    teacher = teach(made_of({"knn": KNN}), rows, VOCABULARY, 0, tmp_path)
    tables.write(teacher.lists, tmp_path / "teacher.parquet", TEACHER)
    shortest = teacher.lists.filter(pl.col("seen") == ITEMS - 2)
    assert len(shortest["item_ids"][0]) == 2


def test_anything_that_scores_all_items_is_a_teacher():
    rows = some_rows(5, seed=8)
    # an oracle that likes the next number best, then the one after it
    wanted = np.arange(ITEMS)

    def oracle(_, histories):
        return -((wanted[None, :] - histories.last()[:, None]) % ITEMS).astype(float)

    found = listed(rows, VOCABULARY, 2, oracle)
    for row in found.iter_rows(named=True):
        past = rows.sequences[int(row["user_id"][1:])][: row["seen"]].tolist()
        after = [(past[-1] + step) % ITEMS + 1 for step in range(ITEMS)]
        assert row["item_ids"] == VOCABULARY.ids(np.array([item for item in after if item not in past][:2]))
        kept = np.array([-step for step, item in enumerate(after) if item not in past], dtype=float)
        assert np.allclose(np.exp(-np.array(row["distances"])), np.exp(kept[:2]) / np.exp(kept).sum())


def test_ease_of_all_items_is_that_of_candidates():
    histories = made_sequences(40, seed=5, longest=6)
    model = ease.count(histories, ITEMS, EASE(kind="ease", rank=40, penalty=2.0), 0)
    everything = np.tile(np.arange(1, ITEMS + 1), (40, 1))
    expected = model.candidate_scores(UserHistories(histories, np.arange(40)), everything)
    found = EASEMember(model).scores(histories)
    unread = np.ones((40, ITEMS), dtype=bool)
    unread[histories.users, histories.items - 1] = False
    assert np.allclose(found[unread], expected[unread], atol=1e-5)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "name at least one model"),
        (
            {
                "s": SequenceMethod(
                    history="target", model=model_params("sasrec"), loss=CE, training=made_training_config()
                )
            },
            "full_data",
        ),
    ],
)
def test_params_say_what_is_no_teacher(members, said):
    with pytest.raises(ValueError, match=said):
        made_of(members)


def test_a_stored_ensemble_ranks_as_the_fitted_one(tmp_path):
    rows, p = some_rows(20, seed=2), made_of({"knn": KNN, "ease": FLAT, "walk": WALK, "sasrec": SASREC}, folds=2)
    fitted = fit_ensemble(p, rows, VOCABULARY, 0, tmp_path / "work")
    save_members(fitted, VOCABULARY, rows.sequences, tmp_path / "members")
    histories = made_sequences(7, seed=9)
    histories = histories.take(np.flatnonzero(histories.lengths > 0))
    stored = load_ensemble(tmp_path / "members", p)
    unread = [np.setdiff1d(np.arange(1, ITEMS + 1), histories[k])[:5] for k in range(len(histories))]
    expected = np.take_along_axis(fitted.scores(histories), np.stack(unread) - 1, axis=1)
    assert np.allclose(stored.candidate_scores(histories, np.stack(unread)), expected, atol=1e-5)
    assert stored.popularity[1:].sum() == len(rows.sequences.items)
    with pytest.raises(InputError, match=r"2-knn.*no such member"):
        load_ensemble(tmp_path / "members", made_of(p.members, folds=3))
