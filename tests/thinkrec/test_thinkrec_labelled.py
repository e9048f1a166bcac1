"""Like/dislike models: learning, unseen users and items, and the vectors they provide."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kitrec.core.auc import auc
from kitrec.core.errors import InputError
from kitrec.core.params import parse
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params as model_kinds
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.models.params import SASRec
from kitrec.recommenders.storage import StoredModel
from kitrec.thinkrec.collaborative_vectors import bpr_mf_vectors, labelled_model_vectors, sequence_model_vectors
from kitrec.thinkrec.labelled_rows import LabelledRows
from kitrec.thinkrec.labelled_training import fit_labelled
from kitrec.thinkrec.params import MF, LabelledTrainingConfig, Objective, TrainingConfig
from tests.recommenders.made_models import ITEMS, made_model
from tests.thinkrec.made_thinkrec import made_objective, made_training_config


def made_rows(seed: int, count: int) -> LabelledRows:
    """Users and items have two colours; a user likes items of the same colour, and the history holds only those."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 20, count), rng.integers(0, 30, count)
    labels = (users % 2 == items % 2).astype(np.int64)
    histories = [[str(i) for i in rng.choice(np.arange(user % 2, 30, 2), 4, replace=False)] for user in users]
    return LabelledRows([f"u{k}" for k in users], [str(k) for k in items], labels, histories)


def made_labelled_config(model: MF | SASRec, **changed) -> LabelledTrainingConfig:
    fields = {
        "epochs": 40,
        "batch_size": 64,
        "learning_rate": 1e-2,
        "weight_decay": 0.0,
        "patience": 40,
        "next_item_weight": 0.0,
    }
    fields |= {"bias_lr_multiplier": 1.0}
    return LabelledTrainingConfig(model=model, **(fields | changed))


SMALL = SASRec(kind="sasrec", hidden_size=8, heads=1, layers=1, max_length=4, dropout=0.0)


@pytest.mark.parametrize("model", [MF(kind="mf", hidden_size=8), SMALL], ids=["mf", "sasrec"])
def test_a_pattern_is_learned_and_the_best_epoch_kept(model):
    fitted = fit_labelled(made_labelled_config(model), made_rows(0, 600), made_rows(1, 200), seed=0)
    test = made_rows(2, 200)
    assert auc(test.labels, fitted.scores(test)) > 0.95
    values = [row["auc"] + row["uauc"] for row in fitted.rows]
    assert fitted.best_epoch == 1 + int(np.argmax(values))


def test_the_next_item_loss_is_added():
    fitted = fit_labelled(
        made_labelled_config(SMALL, next_item_weight=0.1, epochs=10), made_rows(0, 300), made_rows(1, 100), seed=0
    )
    plain = fit_labelled(made_labelled_config(SMALL, epochs=10), made_rows(0, 300), made_rows(1, 100), seed=0)
    assert fitted.rows[0]["loss"] > plain.rows[0]["loss"] + 0.1  # 0.1 log 30 more
    with pytest.raises(ValueError, match="MF has no next item"):
        made_labelled_config(MF(kind="mf", hidden_size=2), next_item_weight=0.1)


def test_unseen_users_and_items_are_scored_by_the_biases():
    fitted = fit_labelled(
        made_labelled_config(MF(kind="mf", hidden_size=4), epochs=3), made_rows(0, 200), made_rows(1, 100), seed=0
    )
    unseen = LabelledRows(["nobody", "nobody"], ["nothing", "1"], np.array([0, 1]), [[], []])
    bias = fitted.model.bias.item()
    known_logit = bias + fitted.model.item_bias.weight[fitted.vocabulary.items.item_ids.index("1") + 1].item()
    assert np.allclose(fitted.scores(unseen), 1 / (1 + np.exp([-bias, -known_logit])), atol=1e-6)


def test_the_same_seed_gives_the_same_scores():
    training = made_labelled_config(SMALL, epochs=2)
    one, other = (
        fit_labelled(training, made_rows(0, 200), made_rows(1, 100), seed=4).scores(made_rows(2, 50)) for _ in range(2)
    )
    assert (one == other).all()
    with pytest.raises(InputError, match="one of the tables is empty"):
        fit_labelled(training, made_rows(0, 10), LabelledRows([], [], np.empty(0), []), seed=0)


def test_vectors_of_a_sequence_model_give_its_scores():
    vocabulary = Vocabulary([f"{k:02}" for k in range(ITEMS)])
    stored = StoredModel(made_model("sasrec"), vocabulary, np.zeros(ITEMS + 1, dtype=np.float32), {})
    histories = sequences_from_lists([[1, 2, 3], [], [4]])
    users, items = sequence_model_vectors(stored, ["a", "empty", "c"], histories)
    assert users.ids == ["a", "c"] and items.ids == vocabulary.item_ids
    expected = stored.candidate_scores(histories.take(np.array([0, 2])), np.array([[1, 9], [5, 30]]))
    actual = np.einsum("ud,ucd->uc", users.rows, items.rows[np.array([[0, 8], [4, 29]])])
    assert_same_but_for_a_scale(actual, expected)
    assert np.allclose((users.rows**2).mean(axis=1), 1) and (items.rows**2).mean() == pytest.approx(1, abs=1e-5)


def test_vectors_of_bpr_mf_give_its_scores():
    torch.manual_seed(0)
    item_domains = ItemDomains(np.array([0, 1, 1, 2, 2, 2]))
    model = BPRMF(item_domains, None, model_kinds.BPRMF(kind="bpr_mf", hidden_size=4, negatives=1))
    torch.nn.init.normal_(model.items.weight)
    torch.nn.init.normal_(model.bias.weight)
    histories = UserHistories(sequences_from_lists([[1, 3], [2, 4, 5]]))
    users, items = bpr_mf_vectors(
        model, Vocabulary(list("abcde")), ["u", "nobody", "v"], sequences_from_lists([[1, 3], [], [2, 4, 5]])
    )
    assert users.ids == ["u", "v"]
    expected = model.candidate_scores(histories, np.array([[1, 2, 3, 4, 5]] * 2))
    assert_same_but_for_a_scale(users.rows @ items.rows.T, expected)


def assert_same_but_for_a_scale(actual: np.ndarray, expected: np.ndarray) -> None:
    """Each user's scores are the model's times one positive number."""
    scale = (actual * expected).sum(axis=1, keepdims=True) / (expected**2).sum(axis=1, keepdims=True)
    assert (scale > 0).all() and np.allclose(actual, scale * expected, rtol=1e-4, atol=1e-5)


def test_vectors_of_a_labelled_model_encode_the_newest_row():
    fitted = fit_labelled(made_labelled_config(SMALL, epochs=1), made_rows(0, 200), made_rows(1, 100), seed=0)
    rows = LabelledRows(["u", "v", "u"], ["1", "1", "1"], np.array([1, 0, 1]), [["1"], [], ["2", "4"]])
    users, items = labelled_model_vectors(fitted, rows)
    assert users.ids == ["u"] and items.width == users.width == 9  # eight, and the bias
    newest_only, _ = labelled_model_vectors(fitted, LabelledRows(["u"], ["1"], np.array([1]), [["2", "4"]]))
    assert np.allclose(users.rows, newest_only.rows, atol=1e-6)


@pytest.mark.parametrize("p", [MF(kind="mf", hidden_size=8), SMALL])
def test_vectors_of_a_labelled_model_give_its_order_of_items(p):
    fitted = fit_labelled(made_labelled_config(p, epochs=3), made_rows(0, 200), made_rows(1, 100), seed=0)
    user = made_rows(0, 200).users[0]
    item_ids = fitted.vocabulary.items.item_ids
    rows, count = LabelledRows([user], item_ids[:1], np.array([1]), [item_ids[:2]]), len(item_ids)
    users, items = labelled_model_vectors(fitted, rows)
    all_items = LabelledRows([user] * count, item_ids, np.ones(count), [rows.histories[0]] * count)
    scores = torch.logit(torch.from_numpy(fitted.scores(all_items)).double()).numpy()
    assert np.array_equal(np.argsort(items.rows @ users.rows[0]), np.argsort(scores))


def test_validation_rows_of_one_label_are_refused():
    valid = made_rows(1, 100)
    with pytest.raises(InputError, match="one label only"):
        fit_labelled(made_labelled_config(SMALL), made_rows(0, 200), replace(valid, labels=np.ones(len(valid))), seed=0)


def test_invalid_params_are_refused():
    for cls, params, changes in (
        (Objective, made_objective(), {"alpha": 0.0, "beta": 0.0}),
        (TrainingConfig, made_training_config(), {"updates": 5}),
    ):
        problems: list[str] = []
        tree = {name: getattr(params, name) for name in params.__dataclass_fields__} | changes
        assert parse(cls, "x", {"x": tree}, problems) is None and len(problems) == 1, problems
