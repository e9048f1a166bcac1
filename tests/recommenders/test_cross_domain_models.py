"""Properties of every model over two domains: scores depend on the history, patterns are learned."""

import numpy as np
import polars as pl
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.cross_domain_training import train_cross_domain_model
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, item_domains_of
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.within_domain import domain_validation, evaluate
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from tests.recommenders.made_domains import (
    CATALOGUE,
    CROSS_DOMAIN,
    clustered,
    made_model,
    made_pair_batch,
    made_training_config,
    made_users,
    model_params,
)

NON_PARAMETRIC = [
    params.ItemKNN(kind="item_knn", neighbours=20, shrink=1.0),
    params.EASE(kind="ease", rank=20, penalty=5.0),
    params.Popularity(kind="popularity"),
    params.RandomWalk(kind="random_walk", alpha=0.6, hops=2),
]
KINDS = [*CROSS_DOMAIN, *(p.kind for p in NON_PARAMETRIC if p.kind != "popularity")]
CANDIDATES = np.tile(np.arange(21, 33), (12, 1))


def any_model(kind):
    if kind in CROSS_DOMAIN:
        return made_model(kind)
    return count_model(
        next(p for p in NON_PARAMETRIC if p.kind == kind), made_users(60, seed=8).histories, CATALOGUE.items, 0
    )


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_another_history_on_either_side_changes_the_scores(kind, side):
    model = any_model(kind)
    before = sequences_from_lists([[1, 2, 21], [3, 22, 23]])
    after = sequences_from_lists([[4, 5, 21], [6, 22, 23]] if side == 0 else [[1, 2, 24], [3, 25, 26]])
    one, other = (model.candidate_scores(UserHistories(histories), CANDIDATES[:2, 6:]) for histories in (before, after))
    assert not np.allclose(one[0], other[0], atol=1e-4) and not np.allclose(one[1], other[1], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_depend_on_the_history_alone_not_on_the_batch(kind):
    model, users = any_model(kind), made_users(12)
    together = model.candidate_scores(users, CANDIDATES)
    one_by_one = np.concatenate([model.candidate_scores(users.take(np.array([u])), CANDIDATES[:1]) for u in range(12)])
    twice = UserHistories(Sequences(users.histories.items, users.histories.starts), np.arange(12)[::-1].copy())
    assert np.allclose(together, one_by_one, atol=1e-5)
    assert np.allclose(together, model.candidate_scores(twice, CANDIDATES), atol=1e-6)


@pytest.mark.parametrize("kind", CROSS_DOMAIN)
def test_the_papers_form_needs_user_indices_and_distinguishes_users_by_them(kind):
    model, users = made_model(kind, users=12), made_users(12, indexed=True)
    with pytest.raises(ValueError, match="index"):
        model.candidate_scores(UserHistories(users.histories), CANDIDATES)
    turned = UserHistories(users.histories, users.indices[::-1].copy())
    assert not np.allclose(
        model.candidate_scores(users, CANDIDATES), model.candidate_scores(turned, CANDIDATES), atol=1e-3
    )


@pytest.mark.parametrize("users", [None, 30])
@pytest.mark.parametrize("kind", CROSS_DOMAIN)
def test_gradients_reach_every_parameter(kind, users):
    model = made_model(kind, users=users).train()
    model.loss(made_pair_batch(made_users(30, indexed=users is not None))).backward()
    without_gradient = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.to_dense().any()
    ]
    assert without_gradient == ([] if users is None or kind != "bpr_mf" else ["history_items.weight"])
    assert not model.items.weight.grad.to_dense()[0].any()  # padding


@pytest.mark.parametrize("kind", CROSS_DOMAIN)
def test_a_side_without_items_gives_finite_scores_and_losses(kind):
    scores = made_model(kind).candidate_scores(
        UserHistories(sequences_from_lists([[1, 2], [21, 22], [3]])), CANDIDATES[:3]
    )
    assert np.isfinite(scores).all()
    batch = made_pair_batch(UserHistories(sequences_from_lists([[1, 2], [21, 22], [3, 23]])))
    assert torch.isfinite(made_model(kind).loss(batch))


SPEED = {"conet": 5e-3, "dtcdr": 5e-3, "sscdr": 1e-2, "bpr_mf": 1e-2}


SLOW = [pytest.param(kind, marks=pytest.mark.slow) if kind in ("dtcdr", "sscdr") else kind for kind in KINDS]


@pytest.mark.parametrize("kind", SLOW)
def test_a_trained_model_transfers_books_to_targets_far_better_than_popularity(kind, tmp_path):
    histories, targets, _ = clustered(250)
    training = sequences_from_lists(
        [*history.tolist(), target] for history, target in zip(histories, targets, strict=True)
    )
    development, development_targets, _ = clustered(100, seed=1)
    validation = domain_validation(UserHistories(development), development_targets, CATALOGUE, seed=0)
    popular = evaluate(count_model(NON_PARAMETRIC[2], training, CATALOGUE.items, 0), validation)
    if kind in CROSS_DOMAIN:
        config = made_training_config(epochs=15, learning_rate=SPEED[kind])
        p = model_params(kind, hidden_size=16)
        model = train_cross_domain_model(
            p, config, CATALOGUE, UserHistories(training), validation, 0, tmp_path, lambda _: None
        ).model
    else:
        model = count_model(next(p for p in NON_PARAMETRIC if p.kind == kind), training, CATALOGUE.items, 0)
    cold = np.flatnonzero(development.lengths == 4)
    cold_validation = domain_validation(
        UserHistories(development.take(cold)), development_targets[cold], CATALOGUE, seed=0
    )
    assert evaluate(model, validation)["mrr"] > 1.6 * popular["mrr"]
    assert (
        evaluate(model, cold_validation)["mrr"]
        > 1.6 * evaluate(count_model(NON_PARAMETRIC[2], training, CATALOGUE.items, 0), cold_validation)["mrr"]
    )


@pytest.mark.parametrize("kind", CROSS_DOMAIN)
def test_an_interrupted_training_resumes_to_the_same_bytes(kind, tmp_path):
    users = made_users(80, seed=7)
    development = made_users(20, seed=6).histories
    validation = domain_validation(UserHistories(development.without_last()), development.last(), CATALOGUE, seed=0)

    def run(folder, stop=None):
        folder.mkdir(exist_ok=True)

        def on_epoch_end(progress):
            if progress.epoch == stop:
                raise KeyboardInterrupt

        return train_cross_domain_model(
            model_params(kind), made_training_config(), CATALOGUE, users, validation, 1, folder, on_epoch_end
        )

    uninterrupted = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", stop=2)
    resumed = run(tmp_path / "broken")
    assert uninterrupted.progress == resumed.progress
    pairs = zip(uninterrupted.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("p", [*(model_params(kind) for kind in CROSS_DOMAIN), *NON_PARAMETRIC], ids=lambda p: p.kind)
def test_a_stored_model_loads_unchanged(p, tmp_path):
    model = (
        made_model(p.kind) if p.kind in CROSS_DOMAIN else count_model(p, made_users(60).histories, CATALOGUE.items, 0)
    )
    vocabulary = Vocabulary(f"i{k:02}" for k in range(CATALOGUE.items))
    popularity = np.arange(CATALOGUE.items + 1, dtype=np.float32)
    save_model(StoredModel(model, vocabulary, popularity, {"epoch": 3}), p, tmp_path / "model")
    back, users = load_model(tmp_path / "model"), made_users(12)
    assert back.is_cross_domain
    assert (model.candidate_scores(users, CANDIDATES) == back.model.candidate_scores(users, CANDIDATES)).all()
    assert (back.vocabulary.item_ids, back.metrics) == (vocabulary.item_ids, {"epoch": 3})
    (tmp_path / "model/model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="train it again"):
        load_model(tmp_path / "model")


def test_unknown_items_and_users_without_a_history_fall_back_and_are_counted():
    interactions = pl.DataFrame(
        [("u1", "books", "b1", 1, False), ("u1", "movies", "m1", 2, True), ("u2", "books", "new", 1, False)],
        schema=["user_id", "domain", "item_id", "time", "held_out"],
        orient="row",
    )
    vocabulary, item_domains = Vocabulary(["b1", "b2", "m1", "m2", "m3"]), ItemDomains(np.array([0, 1, 1, 2, 2, 2]))
    popularity = np.array([0, 5, 4, 1, 9, 3], dtype=np.float32)
    stored = StoredModel(made_model("conet", catalogue=item_domains), vocabulary, popularity, {})
    records = pl.DataFrame(
        {"user_id": ["u1", "u2"], "target": ["movies"] * 2, "candidate_ids": [["m1", "x", "m2"], ["m3", "y", "m2"]]}
    )
    scored = score_records(stored, records, interactions, "both")
    assert scored.metrics()["ranked_by_popularity"] == 1
    assert scored.metrics()["unknown_candidates"] == round(2 / 6, 6)
    assert min(scored.scores[0]) == scored.scores[0][1] and np.argsort(scored.scores[1]).tolist() == [1, 0, 2]


def test_item_domains_come_from_the_training_interactions():
    interactions = pl.DataFrame({"item_id": ["b", "m", "c", "b"], "domain": ["books", "movies", "music", "books"]})
    item_domains = item_domains_of(interactions, ["movies", "music"], Vocabulary(["b", "c", "m"]))
    assert item_domains.domains.tolist() == [0, 1, 3, 2] and item_domains.sides.tolist() == [-1, 0, 1, 1]
