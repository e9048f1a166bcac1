"""The two students together: what they share, what the teacher adds, and that a good teacher helps."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kitrec.core.errors import InputError
from kitrec.distillation import auxiliary_losses, losses, params
from kitrec.distillation.alignment import align
from kitrec.distillation.comparison import compare, gains
from kitrec.distillation.item_embeddings import Embeddings
from kitrec.distillation.selection_policies import policy
from kitrec.distillation.student_training import Student, Students, Teacher
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.data.target_batches import lesson
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.params import Loss, Masking
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import TrainedBatch, Validation
from tests.distillation.made_teachers import VOCABULARY, distill_params, lists_of, named, neighbours, some_rows
from tests.recommenders.made_models import CE, ITEMS, KINDS, a_model

ROWS = some_rows(16, seed=1)
VECTORS = Embeddings(VOCABULARY.item_ids[:-2], np.random.default_rng(0).normal(size=(ITEMS - 2, 6)).astype(np.float32))
TEACHER = Teacher(lists_of(ROWS, neighbours), VECTORS)
INJECTION = params.Embedding(form="injection", weight=0.3)
DISTANCE = params.Embedding(form="distance", weight=0.3)
ROBUST = params.Robust(alpha=0.5, beta=1.0, power=0.05)


def judged(rows) -> Validation:
    own = rows.sequences.take(np.flatnonzero(rows.sequences.lengths > 1))
    return Validation(own.without_last(), own.last())  # how deep it looks is the distillation's own


def distilled(p: params.Distill, work, teacher: Teacher = TEACHER, told=lambda _: None) -> Student:
    return Students(p, ROWS, VOCABULARY, judged(ROWS), 7).train_distilled(teacher, work / "taught", told)


def alone(p: params.Distill, work) -> Student:
    return Students(p, ROWS, VOCABULARY, judged(ROWS), 7).train_baseline(work / "alone", lambda _: None)


def same(one, other) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_of_no_weight_leaves_the_baseline(kind, tmp_path):
    p = distill_params(kind, model={"dropout": 0.2})
    p = replace(p, ranking=replace(p.ranking, weight=0.0))
    baseline, taught = alone(p, tmp_path), distilled(p, tmp_path)
    assert same(baseline.result.model, taught.result.model)
    assert baseline.result.progress == taught.result.progress


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [Loss(kind="bce", negatives=2, calibration=0.0), CE], ids=["bce", "ce"])
def test_every_student_learns_with_every_term(kind, loss, tmp_path):
    p = distill_params(kind, loss=loss, robust=ROBUST)
    baseline = alone(p, tmp_path)
    assert not baseline.alignment
    for form in (INJECTION, DISTANCE):
        taught = distilled(replace(p, embedding=form), tmp_path / form.form)
        rows = taught.result.progress.rows
        assert len(rows) == 2
        assert all(np.isfinite(row["loss"]) and "ndcg@20" in row for row in rows)
        assert taught.alignment["items without a teacher's vector"] == 2
        # a plain student comes out, whoever taught it
        assert taught.result.model.state_dict().keys() == baseline.result.model.state_dict().keys()
        assert not same(baseline.result.model, taught.result.model)


@pytest.mark.parametrize("form", [INJECTION, DISTANCE], ids=["injection", "distance"])
def test_a_training_that_broke_off_goes_on_to_the_same_student(form, tmp_path):
    p = distill_params("sasrec", embedding=form, model={"dropout": 0.1}, course={"epochs": 4})
    whole = distilled(p, tmp_path / "whole")

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distilled(p, tmp_path / "broken", told=stop)
    again = distilled(p, tmp_path / "broken")
    assert same(whole.result.model, again.result.model)
    assert whole.result.progress == again.result.progress


def test_padding_stays_nothing_beside_a_teachers_vectors(tmp_path):
    p = replace(distill_params("gru4rec", embedding=INJECTION), ranking=distill_params().ranking)
    items = distilled(p, tmp_path).result.model.get_submodule("items").weight
    assert not items[0].any()


@pytest.mark.parametrize(
    ("kind", "loss"),
    [*itertools.product(["sasrec", "gru4rec", "caser"], ["bce", "ce"]), ("bert4rec", "ce")],
)
def test_the_ranking_term_is_that_of_each_prefix_alone(kind, loss):
    """The whole batch against the formula, row by row, from the state after the row's own prefix."""
    p = distill_params(kind, loss=CE if loss == "ce" else distill_params().student.loss, robust=ROBUST)
    last_alone = {"masking": Masking(random=1e-12, last=1.0)} if kind == "bert4rec" else {}
    model = a_model(kind, **last_alone)
    lists = align(TEACHER.lists, ROWS, VOCABULARY, 3, "refuse")
    share = losses.shares(torch.bincount(torch.from_numpy(ROWS.sequences.items - 1), minlength=ITEMS).float(), 0.05)
    who = np.array([3, 9, 0, 5])
    taught = TrainedBatch(2, 1, who, lesson(model, ROWS.sequences.take(who), np.random.default_rng(0)))
    term = auxiliary_losses.Ranked(model, ROWS.sequences, lists, policy(p.selection, lists, 0), share, p, seed=4)
    weight, bias = model.output()
    rows = np.flatnonzero(taught.lesson.places >= 0)
    negatives = term._negatives(taught, rows)[:, 0] if loss == "bce" else None
    expected, count = 0.0, 0
    # a model names the items of a batch reader by reader
    for number, (user, seen) in enumerate(zip(taught.lesson.users[rows], taught.lesson.places[rows], strict=True)):
        items = ROWS.sequences[who[user]]
        state = state_after(model, items, seen)
        scores = weight @ state + (0 if bias is None else bias)
        own = [item - 1 for item in neighbours(items, seen)]
        best = scores.topk(3).indices.tolist()
        distance, rank = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 2.0, 3.0])
        raw = 0.3 * (-rank).softmax(0) + 0.5 * (-distance).softmax(0)
        raw = raw + 0.1 * torch.tensor([float(item in best) for item in own])
        weights = raw / raw.sum()
        if loss == "ce":
            expected += -(weights * scores.log_softmax(0)[own]).sum()
        else:
            expected += -(weights * F.logsigmoid(scores[own])).sum() - F.logsigmoid(-scores[negatives[number]])
        for item, own_weight in zip(own, weights, strict=True):
            inner = (share * scores**2).exp()
            mass = inner.sum() - inner[item] + (share[item] * (scores[item] - 1) ** 2).exp()
            expected += 0.5 * own_weight * mass.log()
        count += 1
    behind = [len(ROWS.sequences[user]) - 1 for user in who if len(ROWS.sequences[user]) > 1]
    assert count == (len(behind) if kind == "bert4rec" else sum(behind))
    assert torch.allclose(term(taught), 0.7 * expected / len(taught.lesson.wanted), rtol=1e-4)


def state_after(model, items, seen) -> torch.Tensor:
    """SASRec numbers its places from the newest item of the whole sequence, in learning as in ranking."""
    if isinstance(model, SASRec):
        return model(pack(of_lists([items[:-1]])))[seen - 1]
    return represent(model, of_lists([items[:seen]]))[0]


def test_what_the_policy_leaves_out_adds_nothing():
    p = distill_params()
    model, lists = a_model("sasrec"), align(TEACHER.lists, ROWS, VOCABULARY, 3, "refuse")
    who = np.arange(8)
    taught = TrainedBatch(0, 0, who, lesson(model, ROWS.sequences.take(who), np.random.default_rng(0)))

    def value(name: str, fraction: float) -> float:
        own = policy(params.Selection(policy=name, fraction=fraction), lists, 0)
        return auxiliary_losses.Ranked(model, ROWS.sequences, lists, own, torch.ones(ITEMS), p, 0)(taught).item()

    whole = value("all", 1.0)
    assert 0 < value("student_uncertain", 0.5) < whole
    nobody = align(TEACHER.lists[:1], ROWS, VOCABULARY, 3, "mask")
    other = policy(p.selection, nobody, 0)
    assert auxiliary_losses.Ranked(model, ROWS.sequences, nobody, other, torch.ones(ITEMS), p, 0)(
        replace(taught, sequences=np.flatnonzero(ROWS.sequences.lengths)[-1:].repeat(8))
    ).item() == pytest.approx(0.0)


def test_bert4rec_is_told_of_the_places_it_restores():
    model = a_model("bert4rec")
    who = np.arange(16)
    taught = lesson(model, ROWS.sequences, np.random.default_rng(0))
    for user, place, wanted in zip(who[taught.users], taught.places, taught.wanted.tolist(), strict=True):
        assert ROWS.sequences[user][place] == wanted + 1


def test_embeddings_that_are_asked_for_must_be_there(tmp_path):
    with pytest.raises(InputError, match="the teacher has no item vectors"):
        distilled(distill_params(embedding=INJECTION, gaps="refuse"), tmp_path, Teacher(TEACHER.lists, None))


def test_params_say_what_cannot_be():
    with pytest.raises(ValueError, match="gbce has no ranking term"):
        distill_params(loss=Loss(kind="gbce", negatives=4, calibration=0.5))
    with pytest.raises(ValueError, match="the validation chooses"):
        distill_params(course={"mode": "full_data"})


def a_chain(readers: int, seed: int, follow: float) -> list[list[int]]:
    """Walks in which the item after i is i + 1 with chance `follow`, else any."""
    rng = np.random.default_rng(seed)
    walks = []
    for _ in range(readers):
        items = [int(rng.integers(1, ITEMS + 1))]
        for _ in range(5):
            step = items[-1] % ITEMS + 1
            items.append(step if rng.random() < follow else int(rng.integers(1, ITEMS + 1)))
        walks.append(items)
    return walks


# BERT4Rec hides a few places of so few readers: it needs more of both
@pytest.mark.parametrize(
    ("kind", "readers", "epochs", "rate"),
    [
        ("sasrec", 25, 8, 1e-2),
        ("gru4rec", 25, 8, 1e-2),
        ("caser", 25, 8, 1e-2),
        pytest.param("bert4rec", 40, 100, 5e-3, marks=pytest.mark.slow),
    ],
)
def test_a_teacher_that_knows_the_pattern_makes_a_better_student(kind, readers, epochs, rate, tmp_path):
    rows = named(of_lists(a_chain(readers, 0, 0.5)))
    held_out = of_lists(a_chain(300, 1, 1.0))
    validation = Validation(held_out.without_last(), held_out.last(), depth=20)
    p = distill_params(kind, course={"epochs": epochs, "batch": 8, "patience": epochs, "learning_rate": rate}, loss=CE)
    p = replace(p, ranking=replace(p.ranking, weight=2.0))
    found = []
    for seed in range(2):
        teacher = Teacher(lists_of(rows, neighbours, [0.0, 3.0, 6.0]), None)
        students, work = Students(p, rows, VOCABULARY, validation, seed), tmp_path / str(seed)
        both = (
            students.train_baseline(work / "alone", lambda _: None),
            students.train_distilled(teacher, work / "taught", lambda _: None),
        )
        found.append([gains(own.result.model, validation.histories, validation.targets, 20) for own in both])
    compared = compare(*np.array(found).swapaxes(0, 1))
    assert compared.distilled > compared.baseline
    assert compared.p_value < 0.01


def test_items_without_a_vector_are_refused_where_gaps_are(tmp_path):
    p = replace(distill_params("sasrec"), embedding=INJECTION, gaps="refuse")
    with pytest.raises(InputError, match=f"no vector of 2 of the student's {ITEMS} items"):
        distilled(p, tmp_path)
    whole = Embeddings(VOCABULARY.item_ids, np.ones((ITEMS, 6), dtype=np.float32))
    assert distilled(p, tmp_path, replace(TEACHER, embeddings=whole)).alignment["items without a teacher's vector"] == 0
