"""What every model over two domains must keep: the history decides, no reader needs a number, a pattern is learned."""

import numpy as np
import polars as pl
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.cross_domain_training import train_cross_domain_model
from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.item_domains import Catalogue, of_seen
from kitrec.recommenders.data.sequences import Sequences, of_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.within_domain import against, judged
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from tests.recommenders.made_domains import (
    CATALOGUE,
    LEARNED,
    a_course,
    a_lesson,
    a_model,
    clustered,
    model_params,
    some_readers,
)

COUNTED = [
    params.ItemKNN(kind="item_knn", neighbours=20, shrink=1.0),
    params.EASE(kind="ease", rank=20, penalty=5.0),
    params.Popularity(kind="popularity"),
    params.RandomWalk(kind="random_walk", alpha=0.6, hops=2),
]
KINDS = [*LEARNED, *(p.kind for p in COUNTED if p.kind != "popularity")]
LISTED = np.tile(np.arange(21, 33), (12, 1))


def any_model(kind):
    if kind in LEARNED:
        return a_model(kind)
    return count_model(
        next(p for p in COUNTED if p.kind == kind), some_readers(60, seed=8).histories, CATALOGUE.items, 0
    )


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_another_history_changes_the_scores_on_either_side(kind, side):
    model = any_model(kind)
    before = of_lists([[1, 2, 21], [3, 22, 23]])
    after = of_lists([[4, 5, 21], [6, 22, 23]] if side == 0 else [[1, 2, 24], [3, 25, 26]])
    one, other = (model.candidate_scores(Readers(own), LISTED[:2, 6:]) for own in (before, after))
    assert not np.allclose(one[0], other[0], atol=1e-4) and not np.allclose(one[1], other[1], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_readers_with_the_same_history_are_the_same_reader_whoever_stands_beside_them(kind):
    model, readers = any_model(kind), some_readers(12)
    together = model.candidate_scores(readers, LISTED)
    alone = np.concatenate([model.candidate_scores(readers.take(np.array([u])), LISTED[:1]) for u in range(12)])
    twice = Readers(Sequences(readers.histories.items, readers.histories.starts), np.arange(12)[::-1].copy())
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(together, model.candidate_scores(twice, LISTED), atol=1e-6)


@pytest.mark.parametrize("kind", LEARNED)
def test_the_papers_form_wants_numbers_and_tells_readers_apart_by_them(kind):
    model, readers = a_model(kind, users=12), some_readers(12, numbered=True)
    with pytest.raises(ValueError, match="number"):
        model.candidate_scores(Readers(readers.histories), LISTED)
    turned = Readers(readers.histories, readers.numbers[::-1].copy())
    assert not np.allclose(model.candidate_scores(readers, LISTED), model.candidate_scores(turned, LISTED), atol=1e-3)


@pytest.mark.parametrize("users", [None, 30])
@pytest.mark.parametrize("kind", LEARNED)
def test_gradients_reach_every_parameter(kind, users):
    model = a_model(kind, users=users).train()
    model.loss(a_lesson(some_readers(30, numbered=users is not None))).backward()
    resting = [name for name, own in model.named_parameters() if own.grad is None or not own.grad.to_dense().any()]
    assert resting == ([] if users is None or kind != "bpr_mf" else ["read.weight"])
    assert not model.items.weight.grad.to_dense()[0].any()  # padding


@pytest.mark.parametrize("kind", LEARNED)
def test_a_side_without_items_is_no_trouble(kind):
    found = a_model(kind).candidate_scores(Readers(of_lists([[1, 2], [21, 22], [3]])), LISTED[:3])
    assert np.isfinite(found).all()
    lesson = a_lesson(Readers(of_lists([[1, 2], [21, 22], [3, 23]])))
    assert torch.isfinite(a_model(kind).loss(lesson))


SPEED = {"conet": 5e-3, "dtcdr": 5e-3, "sscdr": 1e-2, "bpr_mf": 1e-2}


SLOW = [pytest.param(kind, marks=pytest.mark.slow) if kind in ("dtcdr", "sscdr") else kind for kind in KINDS]


@pytest.mark.parametrize("kind", SLOW)
def test_it_learns_which_books_lead_to_which_targets_far_better_than_popularity(kind, tmp_path):
    histories, truths, _ = clustered(250)
    learned = of_lists([*own.tolist(), truth] for own, truth in zip(histories, truths, strict=True))
    asked, wanted, _ = clustered(100, seed=1)
    validation = against(Readers(asked), wanted, CATALOGUE, seed=0)
    popular = judged(count_model(COUNTED[2], learned, CATALOGUE.items, 0), validation)
    if kind in LEARNED:
        course = a_course(epochs=15, learning_rate=SPEED[kind])
        p = model_params(kind, hidden=16)
        model = train_cross_domain_model(
            p, course, CATALOGUE, Readers(learned), validation, 0, tmp_path, lambda _: None
        ).model
    else:
        model = count_model(next(p for p in COUNTED if p.kind == kind), learned, CATALOGUE.items, 0)
    cold = np.flatnonzero(asked.lengths == 4)
    alone = against(Readers(asked.take(cold)), wanted[cold], CATALOGUE, seed=0)
    assert judged(model, validation)["mrr"] > 1.6 * popular["mrr"]
    assert (
        judged(model, alone)["mrr"] > 1.6 * judged(count_model(COUNTED[2], learned, CATALOGUE.items, 0), alone)["mrr"]
    )


@pytest.mark.parametrize("kind", LEARNED)
def test_a_training_that_broke_off_ends_with_the_same_bytes(kind, tmp_path):
    readers = some_readers(80, seed=7)
    asked = some_readers(20, seed=6).histories
    validation = against(Readers(asked.without_last()), asked.last(), CATALOGUE, seed=0)

    def run(folder, stop=None):
        folder.mkdir(exist_ok=True)

        def told(progress):
            if progress.epoch == stop:
                raise KeyboardInterrupt

        return train_cross_domain_model(model_params(kind), a_course(), CATALOGUE, readers, validation, 1, folder, told)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", stop=2)
    resumed = run(tmp_path / "broken")
    assert whole.progress == resumed.progress
    pairs = zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("p", [*(model_params(kind) for kind in LEARNED), *COUNTED], ids=lambda p: p.kind)
def test_a_stored_model_comes_back_as_it_was(p, tmp_path):
    model = a_model(p.kind) if p.kind in LEARNED else count_model(p, some_readers(60).histories, CATALOGUE.items, 0)
    vocabulary = Vocabulary(f"i{k:02}" for k in range(CATALOGUE.items))
    popularity = np.arange(CATALOGUE.items + 1, dtype=np.float32)
    save_model(StoredModel(model, vocabulary, popularity, {"epoch": 3}), p, tmp_path / "model")
    back, readers = load_model(tmp_path / "model"), some_readers(12)
    assert back.is_cross_domain
    assert (model.candidate_scores(readers, LISTED) == back.model.candidate_scores(readers, LISTED)).all()
    assert (back.vocabulary.item_ids, back.metrics) == (vocabulary.item_ids, {"epoch": 3})
    (tmp_path / "model/model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="train it again"):
        load_model(tmp_path / "model")


def test_unseen_items_and_readers_without_a_history_fall_back_and_are_counted():
    seen = pl.DataFrame(
        [("u1", "books", "b1", 1, False), ("u1", "movies", "m1", 2, True), ("u2", "books", "new", 1, False)],
        schema=["user_id", "domain", "item_id", "time", "held_out"],
        orient="row",
    )
    vocabulary, catalogue = Vocabulary(["b1", "b2", "m1", "m2", "m3"]), Catalogue(np.array([0, 1, 1, 2, 2, 2]))
    popularity = np.array([0, 5, 4, 1, 9, 3], dtype=np.float32)
    stored = StoredModel(a_model("conet", catalogue=catalogue), vocabulary, popularity, {})
    records = pl.DataFrame(
        {"user_id": ["u1", "u2"], "target": ["movies"] * 2, "candidate_ids": [["m1", "x", "m2"], ["m3", "y", "m2"]]}
    )
    scored = score_records(stored, records, seen, "both")
    assert scored.counts()["ranked_by_popularity"] == 1
    assert scored.counts()["unknown_candidates"] == round(2 / 6, 6)
    assert min(scored.scores[0]) == scored.scores[0][1] and np.argsort(scored.scores[1]).tolist() == [1, 0, 2]


def test_domains_of_items_come_from_the_training_interactions():
    seen = pl.DataFrame({"item_id": ["b", "m", "c", "b"], "domain": ["books", "movies", "music", "books"]})
    catalogue = of_seen(seen, Vocabulary(["b", "c", "m"]))
    assert catalogue.domains.tolist() == [0, 1, 3, 2] and catalogue.sides.tolist() == [-1, 0, 1, 1]
