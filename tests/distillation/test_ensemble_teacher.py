"""The ensemble: its arithmetic by hand and by scipy, its lists, and folds fitted on other users only."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata, zscore

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.distillation import ensemble, params
from kitrec.distillation.alignment import align
from kitrec.distillation.ensemble import combine_scores, fit_ensemble
from kitrec.distillation.ensemble_members import EASEMember, fit_member
from kitrec.distillation.ensemble_storage import load_ensemble, save_members
from kitrec.distillation.topk_lists import all_prefixes, next_items, prefix_items, topk_lists
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models import ease
from kitrec.recommenders.models.params import EASE, ItemKNN, RandomWalk
from kitrec.recommenders.params import NonParametricMethod, SequenceMethod
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from tests.distillation.made_teachers import VOCABULARY, made_rows, with_keys
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


def made_params(members, **changed) -> params.Ensemble:
    return params.Ensemble(members=members, **({"combine": "z_score", "folds": 1, "list_length": 5} | changed))


def test_prefixes_are_all_histories_with_a_next_item():
    sequences = sequences_from_lists([[4, 5, 6], [7], [8, 9]])
    prefixes = all_prefixes(sequences)
    items = prefix_items(sequences, prefixes)
    assert [items[k].tolist() for k in range(3)] == [[4], [4, 5], [8]]
    assert next_items(sequences, prefixes).tolist() == [5, 6, 9]


def test_scores_are_combined_as_scipy_does():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 9)), rng.normal(size=(4, 9)) * 100
    expected = (zscore(first, axis=1) + zscore(second, axis=1)) / 2
    assert np.allclose(combine_scores([first, second], "z_score"), expected)
    ranks = (1 / (60 + rankdata(-first, axis=1)) + 1 / (60 + rankdata(-second, axis=1))) / 2
    assert np.allclose(combine_scores([first, second], "reciprocal_rank"), zscore(ranks, axis=1))
    assert not combine_scores([np.ones((2, 5))], "z_score").any()  # a constant member contributes nothing


def test_every_training_row_has_a_list_without_items_of_its_prefix(tmp_path):
    rows = made_rows(20, seed=2)
    p = made_params({"knn": KNN, "ease": FLAT, "walk": WALK, "sasrec": SASREC}, folds=2)
    fitted = fit_ensemble(p, rows, VOCABULARY, 0, tmp_path)
    lists, embeddings = fitted.lists(rows, VOCABULARY), fitted.embeddings(VOCABULARY)
    tables.write(lists, tmp_path / "teacher.parquet", TEACHER_LISTS)
    aligned = align(lists, rows, VOCABULARY, 5, "refuse")
    assert aligned.counts["distilled rows"] == len(all_prefixes(rows.sequences))
    for row in lists.iter_rows(named=True):
        prefix = rows.sequences[int(row["user_id"][1:])][: row["prefix_length"]]
        assert not set(VOCABULARY.ids(prefix)) & set(row["item_ids"])
        assert row["distances"] == sorted(row["distances"])
        assert np.exp(-np.array(row["distances"])).sum() < 1
    # SASRec's 16 and EASE's directions, of two folds
    assert embeddings.vectors.shape[0] == ITEMS
    assert embeddings.vectors.shape[1] > 32


def test_neighbours_list_items_of_the_same_sequences(tmp_path):
    # 1 and 2 always occur together, so do 3 and 4
    rows = with_keys(sequences_from_lists([[1, 2], [2, 1], [3, 4], [4, 3]]))
    fitted = fit_ensemble(made_params({"knn": KNN}, list_length=1), rows, VOCABULARY, 0, tmp_path)
    lists = fitted.lists(rows, VOCABULARY)
    assert [item_ids[0] for item_ids in lists["item_ids"]] == ["i02", "i01", "i04", "i03"]
    assert fitted.embeddings(VOCABULARY) is None


def test_a_fold_is_never_fitted_on_its_own_users(tmp_path, monkeypatch):
    rows = made_rows(30, seed=6)
    twice = pl.concat([rows.keys[:15], rows.keys[:15].with_columns(target=pl.lit("Music"))])
    rows = type(rows)(rows.sequences, twice, rows.offsets)
    training = []

    def spy(p, sequences, *rest):
        training.append(sequences)
        return fit_member(p, sequences, *rest)

    monkeypatch.setattr(ensemble, "fit_member", spy)
    folds = fit_ensemble(made_params({"knn": KNN}, folds=3), rows, VOCABULARY, 0, tmp_path).folds
    assert folds[:15].tolist() == folds[15:].tolist()  # both sequences of a user
    for number, sequences in enumerate(training):
        others = rows.sequences.take(np.flatnonzero(folds != number))
        assert sequences.items.tolist() == others.items.tolist()


def test_a_list_is_no_longer_than_the_number_of_items_left(tmp_path):
    rows = with_keys(sequences_from_lists([range(1, ITEMS), range(5, 9)]))
    lists = fit_ensemble(made_params({"knn": KNN}), rows, VOCABULARY, 0, tmp_path).lists(rows, VOCABULARY)
    tables.write(lists, tmp_path / "teacher.parquet", TEACHER_LISTS)
    shortest = lists.filter(pl.col("prefix_length") == ITEMS - 2)
    assert len(shortest["item_ids"][0]) == 2


def test_any_function_that_scores_all_items_is_a_teacher():
    rows = made_rows(5, seed=8)
    numbers = np.arange(ITEMS)

    def next_number_first(_, histories):
        return -((numbers[None, :] - histories.last()[:, None]) % ITEMS).astype(float)

    lists = topk_lists(rows, VOCABULARY, 2, next_number_first)
    for row in lists.iter_rows(named=True):
        prefix = rows.sequences[int(row["user_id"][1:])][: row["prefix_length"]].tolist()
        after = [(prefix[-1] + step) % ITEMS + 1 for step in range(ITEMS)]
        assert row["item_ids"] == VOCABULARY.ids(np.array([item for item in after if item not in prefix][:2]))
        scores = np.array([-step for step, item in enumerate(after) if item not in prefix], dtype=float)
        assert np.allclose(np.exp(-np.array(row["distances"])), np.exp(scores[:2]) / np.exp(scores).sum())


def test_ease_scores_of_all_items_equal_those_of_candidates():
    histories = made_sequences(40, seed=5, longest=6)
    model = ease.fit(histories, ITEMS, EASE(kind="ease", rank=40, penalty=2.0), 0)
    everything = np.tile(np.arange(1, ITEMS + 1), (40, 1))
    expected = model.candidate_scores(UserHistories(histories, np.arange(40)), everything)
    scores = EASEMember(model).scores(histories)
    new_items = np.ones((40, ITEMS), dtype=bool)
    new_items[histories.users, histories.items - 1] = False
    assert np.allclose(scores[new_items], expected[new_items], atol=1e-5)


@pytest.mark.parametrize(
    ("members", "message"),
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
def test_impossible_members_are_refused(members, message):
    with pytest.raises(ValueError, match=message):
        made_params(members)


def test_a_stored_ensemble_ranks_as_the_fitted_one(tmp_path):
    rows, p = made_rows(20, seed=2), made_params({"knn": KNN, "ease": FLAT, "walk": WALK, "sasrec": SASREC}, folds=2)
    fitted = fit_ensemble(p, rows, VOCABULARY, 0, tmp_path / "work")
    save_members(fitted, VOCABULARY, rows.sequences, tmp_path / "members")
    histories = made_sequences(7, seed=9)
    histories = histories.take(np.flatnonzero(histories.lengths > 0))
    stored = load_ensemble(tmp_path / "members", p)
    candidates = np.stack([np.setdiff1d(np.arange(1, ITEMS + 1), histories[k])[:5] for k in range(len(histories))])
    expected = np.take_along_axis(fitted.scores(histories), candidates - 1, axis=1)
    assert np.allclose(stored.candidate_scores(histories, candidates), expected, atol=1e-5)
    assert stored.popularity[1:].sum() == len(rows.sequences.items)
    with pytest.raises(InputError, match=r"2-knn.*no such member"):
        load_ensemble(tmp_path / "members", made_params(p.members, folds=3))
