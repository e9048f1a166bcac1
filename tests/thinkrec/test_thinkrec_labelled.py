"""Models of likes: what they must learn, what they do not know, and the vectors they hand on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.core.params import parse
from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params as crossdomain
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.params import SASRec
from kitrec.recommenders.storage import StoredModel
from kitrec.thinkrec.auc import auc, judged
from kitrec.thinkrec.collaborative_vectors import of_bpr_mf, of_labelled_model, of_sequence_model
from kitrec.thinkrec.labelled_rows import Labelled
from kitrec.thinkrec.labelled_training import fit_labelled
from kitrec.thinkrec.params import MF, Course, LabelledCourse, Objective
from tests.recommenders.made_models import ITEMS, a_model
from tests.thinkrec.made_thinkrec import a_course, an_objective


def liked(seed: int, count: int) -> Labelled:
    """Users and items have two colours; a user likes their own colour, and only that stands in the history."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 20, count), rng.integers(0, 30, count)
    labels = (users % 2 == items % 2).astype(np.int64)
    histories = [[str(i) for i in rng.choice(np.arange(user % 2, 30, 2), 4, replace=False)] for user in users]
    return Labelled([f"u{k}" for k in users], [str(k) for k in items], labels, histories)


def a_labelled_course(model: MF | SASRec, **changed) -> LabelledCourse:
    own = {"epochs": 40, "batch": 64, "learning_rate": 1e-2, "weight_decay": 0.0, "patience": 40, "next_item": 0.0}
    own |= {"bias_rate": 1.0}
    return LabelledCourse(model=model, **(own | changed))


SMALL = SASRec(kind="sasrec", hidden=8, heads=1, layers=1, length=4, dropout=0.0)


@pytest.mark.parametrize("model", [MF(kind="mf", hidden=8), SMALL], ids=["mf", "sasrec"])
def test_a_pattern_is_learned_and_the_best_epoch_kept(model):
    fitted = fit_labelled(a_labelled_course(model), liked(0, 600), liked(1, 200), seed=0)
    test = liked(2, 200)
    assert auc(test.labels, fitted.scores(test)) > 0.95
    values = [row["auc"] + row["uauc"] for row in fitted.rows]
    assert fitted.best_epoch == 1 + int(np.argmax(values))


def test_next_items_may_be_learned_too():
    fitted = fit_labelled(a_labelled_course(SMALL, next_item=0.1, epochs=10), liked(0, 300), liked(1, 100), seed=0)
    plain = fit_labelled(a_labelled_course(SMALL, epochs=10), liked(0, 300), liked(1, 100), seed=0)
    assert fitted.rows[0]["loss"] > plain.rows[0]["loss"] + 0.1  # 0.1 log 30 more
    with pytest.raises(ValueError, match="MF has no next item"):
        a_labelled_course(MF(kind="mf", hidden=2), next_item=0.1)


def test_strangers_are_scored_by_what_is_known():
    fitted = fit_labelled(a_labelled_course(MF(kind="mf", hidden=4), epochs=3), liked(0, 200), liked(1, 100), seed=0)
    strange = Labelled(["nobody", "nobody"], ["nothing", "1"], np.array([0, 1]), [[], []])
    bias = fitted.model.bias.item()
    known = bias + fitted.model.item_bias.weight[fitted.known.items.item_ids.index("1") + 1].item()
    assert np.allclose(fitted.scores(strange), 1 / (1 + np.exp([-bias, -known])), atol=1e-6)


def test_the_same_seed_gives_the_same_scores():
    course = a_labelled_course(SMALL, epochs=2)
    one, other = (fit_labelled(course, liked(0, 200), liked(1, 100), seed=4).scores(liked(2, 50)) for _ in range(2))
    assert (one == other).all()
    with pytest.raises(InputError, match="one of the tables is empty"):
        fit_labelled(course, liked(0, 10), Labelled([], [], np.empty(0), []), seed=0)


def test_vectors_of_a_sequence_model_give_its_scores():
    vocabulary = Vocabulary([f"{k:02}" for k in range(ITEMS)])
    stored = StoredModel(a_model("sasrec"), vocabulary, np.zeros(ITEMS + 1, dtype=np.float32), {})
    histories = of_lists([[1, 2, 3], [], [4]])
    users, items = of_sequence_model(stored, ["a", "empty", "c"], histories)
    assert users.ids == ["a", "c"] and items.ids == vocabulary.item_ids
    wanted = stored.candidate_scores(histories.take(np.array([0, 2])), np.array([[1, 9], [5, 30]]))
    found = np.einsum("ud,ucd->uc", users.rows, items.rows[np.array([[0, 8], [4, 29]])])
    assert_same_but_for_a_scale(found, wanted)
    assert np.allclose((users.rows**2).mean(axis=1), 1) and (items.rows**2).mean() == pytest.approx(1, abs=1e-5)


def test_vectors_of_bpr_mf_give_its_scores():
    torch.manual_seed(0)
    catalogue = Catalogue(np.array([0, 1, 1, 2, 2, 2]))
    model = BPRMF(catalogue, None, crossdomain.BPRMF(kind="bpr_mf", hidden=4, negatives=1))
    torch.nn.init.normal_(model.items.weight)
    torch.nn.init.normal_(model.bias.weight)
    readers = Readers(of_lists([[1, 3], [2, 4, 5]]))
    users, items = of_bpr_mf(model, Vocabulary(list("abcde")), ["u", "nobody", "v"], of_lists([[1, 3], [], [2, 4, 5]]))
    assert users.ids == ["u", "v"]
    wanted = model.candidate_scores(readers, np.array([[1, 2, 3, 4, 5]] * 2))
    assert_same_but_for_a_scale(users.rows @ items.rows.T, wanted)


def assert_same_but_for_a_scale(found: np.ndarray, wanted: np.ndarray) -> None:
    """Each user's scores are the model's times one positive number."""
    scale = (found * wanted).sum(axis=1, keepdims=True) / (wanted**2).sum(axis=1, keepdims=True)
    assert (scale > 0).all() and np.allclose(found, scale * wanted, rtol=1e-4, atol=1e-5)


def test_vectors_of_a_labelled_model_are_of_its_newest_row():
    fitted = fit_labelled(a_labelled_course(SMALL, epochs=1), liked(0, 200), liked(1, 100), seed=0)
    rows = Labelled(["u", "v", "u"], ["1", "1", "1"], np.array([1, 0, 1]), [["1"], [], ["2", "4"]])
    users, items = of_labelled_model(fitted, rows)
    assert users.ids == ["u"] and items.width == users.width == 9  # eight, and the bias
    alone, _ = of_labelled_model(fitted, Labelled(["u"], ["1"], np.array([1]), [["2", "4"]]))
    assert np.allclose(users.rows, alone.rows, atol=1e-6)


@pytest.mark.parametrize("p", [MF(kind="mf", hidden=8), SMALL])
def test_vectors_of_a_labelled_model_give_its_order_of_items(p):
    fitted = fit_labelled(a_labelled_course(p, epochs=3), liked(0, 200), liked(1, 100), seed=0)
    user = liked(0, 200).users[0]
    rows = Labelled([user], [fitted.known.items.item_ids[0]], np.array([1]), [fitted.known.items.item_ids[:2]])
    users, items = of_labelled_model(fitted, rows)
    every = fitted.known.items.item_ids
    count = len(every)
    asked = Labelled([user] * count, every, np.ones(count), [rows.histories[0]] * count)
    scores = torch.logit(torch.from_numpy(fitted.scores(asked)).double()).numpy()
    assert np.array_equal(np.argsort(items.rows @ users.rows[0]), np.argsort(scores))


def test_validation_rows_of_one_label_are_refused():
    valid = liked(1, 100)
    with pytest.raises(InputError, match="one label only"):
        fit_labelled(a_labelled_course(SMALL), liked(0, 200), replace(valid, labels=np.ones(len(valid))), seed=0)


def test_without_a_user_of_both_labels_auc_alone_is_told():
    told = judged(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.3, 0.2]), list("abcd"), 50, seed=0).told()
    assert told["auc"] == 0.75 and "uauc" not in told


def test_wrong_params_are_told():
    for cls, own, told in (
        (Objective, an_objective(), {"alpha": 0.0, "beta": 0.0}),
        (Course, a_course(), {"updates": 5}),
    ):
        problems: list[str] = []
        tree = {name: getattr(own, name) for name in own.__dataclass_fields__} | told
        assert parse(cls, "x", {"x": tree}, problems) is None and len(problems) == 1, problems
