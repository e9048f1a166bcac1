"""Baseline and distilled students: what they share, what the teacher adds, and that a good teacher helps."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kitrec.core.errors import InputError
from kitrec.distillation import losses, params
from kitrec.distillation.alignment import align
from kitrec.distillation.auxiliary_losses import RankingDistillationLoss
from kitrec.distillation.comparison import compare, user_ndcg
from kitrec.distillation.item_embeddings import ItemEmbeddings
from kitrec.distillation.selection_policies import build_policy
from kitrec.distillation.student_training import Student, Students, Teacher
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.target_batches import target_batch
from kitrec.recommenders.models.params import Masking
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.params import Loss
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import TrainedBatch, Validation
from tests.distillation.made_teachers import VOCABULARY, made_config, made_lists, made_rows, successors, with_keys
from tests.recommenders.made_models import CE, ITEMS, KINDS, made_model

ROWS = made_rows(16, seed=1)
VECTORS = np.random.default_rng(0).normal(size=(ITEMS - 2, 6)).astype(np.float32)
TEACHER = Teacher(made_lists(ROWS, successors), ItemEmbeddings(VOCABULARY.item_ids[:-2], VECTORS))
INJECTION = params.Embedding(form="injection", weight=0.3)
DISTANCE = params.Embedding(form="distance", weight=0.3)
DROS = params.DROS(alpha=0.5, beta=1.0, power=0.05)


def validation_of(rows) -> Validation:
    histories = rows.sequences.take(np.flatnonzero(rows.sequences.lengths > 1))
    return Validation(histories.without_last(), histories.last())  # the depth is that of the student's config


def train_distilled(p: params.StudentConfig, work, teacher: Teacher = TEACHER, on_epoch_end=lambda _: None) -> Student:
    students = Students(p, ROWS, VOCABULARY, validation_of(ROWS), 7)
    return students.train_distilled(teacher, work / "distilled", on_epoch_end)


def train_baseline(p: params.StudentConfig, work) -> Student:
    return Students(p, ROWS, VOCABULARY, validation_of(ROWS), 7).train_baseline(work / "baseline", lambda _: None)


def same_weights(model, other) -> bool:
    tensors, others = model.state_dict(), other.state_dict()
    return tensors.keys() == others.keys() and all(torch.equal(tensors[name], others[name]) for name in tensors)


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_of_weight_zero_leaves_the_baseline(kind, tmp_path):
    p = made_config(kind, model={"dropout": 0.2})
    p = replace(p, ranking=replace(p.ranking, weight=0.0))
    baseline, distilled = train_baseline(p, tmp_path), train_distilled(p, tmp_path)
    assert same_weights(baseline.result.model, distilled.result.model)
    assert baseline.result.progress == distilled.result.progress


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [Loss(kind="bce", negatives=2, calibration=0.0), CE], ids=["bce", "ce"])
def test_every_student_trains_with_every_auxiliary_loss(kind, loss, tmp_path):
    p = made_config(kind, loss=loss, dros=DROS)
    baseline = train_baseline(p, tmp_path)
    assert not baseline.alignment
    for form in (INJECTION, DISTANCE):
        distilled = train_distilled(replace(p, embedding=form), tmp_path / form.form)
        rows = distilled.result.progress.rows
        assert len(rows) == 2
        assert all(np.isfinite(row["loss"]) and "ndcg@20" in row for row in rows)
        assert distilled.alignment["items without a teacher's vector"] == 2
        # the result is a plain student, with or without a teacher
        assert distilled.result.model.state_dict().keys() == baseline.result.model.state_dict().keys()
        assert not same_weights(baseline.result.model, distilled.result.model)


@pytest.mark.parametrize("form", [INJECTION, DISTANCE], ids=["injection", "distance"])
def test_an_interrupted_training_resumes_to_the_same_student(form, tmp_path):
    p = made_config("sasrec", embedding=form, model={"dropout": 0.1}, training={"epochs": 4})
    uninterrupted = train_distilled(p, tmp_path / "whole")

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_distilled(p, tmp_path / "broken", on_epoch_end=stop)
    resumed = train_distilled(p, tmp_path / "broken")
    assert same_weights(uninterrupted.result.model, resumed.result.model)
    assert uninterrupted.result.progress == resumed.result.progress


def test_padding_stays_zero_with_a_teachers_vectors(tmp_path):
    p = replace(made_config("gru4rec", embedding=INJECTION), ranking=made_config().ranking)
    items = train_distilled(p, tmp_path).result.model.get_submodule("items").weight
    assert not items[0].any()


@pytest.mark.parametrize(
    ("kind", "loss"),
    [*itertools.product(["sasrec", "gru4rec", "caser"], ["bce", "ce"]), ("bert4rec", "ce")],
)
def test_the_ranking_loss_of_a_batch_is_the_formula_row_by_row(kind, loss):
    """The whole batch against the formula, row by row, from the state after the row's own prefix."""
    p = made_config(kind, loss=CE if loss == "ce" else made_config().student.loss, dros=DROS)
    last_only = {"masking": Masking(random=1e-12, last=1.0)} if kind == "bert4rec" else {}
    model = made_model(kind, **last_only)
    lists = align(TEACHER.lists, ROWS, VOCABULARY, 3, "refuse")
    counts = torch.bincount(torch.from_numpy(ROWS.sequences.items - 1), minlength=ITEMS).float()
    item_weights = losses.popularity_weights(counts, 0.05)
    users = np.array([3, 9, 0, 5])
    batch = TrainedBatch(2, 1, users, target_batch(model, ROWS.sequences.take(users), np.random.default_rng(0)))
    policy = build_policy(p.selection, lists, 0)
    term = RankingDistillationLoss(model, ROWS.sequences, lists, policy, item_weights, p, seed=4)
    weight, bias = model.output()
    rows = np.flatnonzero(batch.target_batch.positions >= 0)
    negatives = term.negatives(batch, rows)[:, 0] if loss == "bce" else None
    expected, count = 0.0, 0
    # a model numbers the items of a batch user by user
    for number, (user, length) in enumerate(
        zip(batch.target_batch.users[rows], batch.target_batch.positions[rows], strict=True)
    ):
        items = ROWS.sequences[users[user]]
        state = state_after(model, items, length)
        scores = weight @ state + (0 if bias is None else bias)
        listed = [item - 1 for item in successors(items, length)]
        best = scores.topk(3).indices.tolist()
        distance, rank = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 2.0, 3.0])
        raw = 0.3 * (-rank).softmax(0) + 0.5 * (-distance).softmax(0)
        raw = raw + 0.1 * torch.tensor([float(item in best) for item in listed])
        importance = raw / raw.sum()
        if loss == "ce":
            expected += -(importance * scores.log_softmax(0)[listed]).sum()
        else:
            expected += -(importance * F.logsigmoid(scores[listed])).sum() - F.logsigmoid(-scores[negatives[number]])
        for item, w in zip(listed, importance, strict=True):
            inner = (item_weights * scores**2).exp()
            mass = inner.sum() - inner[item] + (item_weights[item] * (scores[item] - 1) ** 2).exp()
            expected += 0.5 * w * mass.log()
        count += 1
    targets = [len(ROWS.sequences[user]) - 1 for user in users if len(ROWS.sequences[user]) > 1]
    assert count == (len(targets) if kind == "bert4rec" else sum(targets))
    assert torch.allclose(term(batch), 0.7 * expected / len(batch.target_batch.targets), rtol=1e-4)


def state_after(model, items, length) -> torch.Tensor:
    """Return the state after a prefix; SASRec numbers positions from the newest item of the whole sequence."""
    if isinstance(model, SASRec):
        return model(pack(sequences_from_lists([items[:-1]])))[length - 1]
    return represent(model, sequences_from_lists([items[:length]]))[0]


def test_rows_that_the_policy_drops_add_nothing():
    p = made_config()
    model, lists = made_model("sasrec"), align(TEACHER.lists, ROWS, VOCABULARY, 3, "refuse")
    users = np.arange(8)
    batch = TrainedBatch(0, 0, users, target_batch(model, ROWS.sequences.take(users), np.random.default_rng(0)))

    def value(name: str, fraction: float) -> float:
        policy = build_policy(params.Selection(policy=name, fraction=fraction), lists, 0)
        return RankingDistillationLoss(model, ROWS.sequences, lists, policy, torch.ones(ITEMS), p, 0)(batch).item()

    assert 0 < value("student_uncertain", 0.5) < value("all", 1.0)
    single = align(TEACHER.lists[:1], ROWS, VOCABULARY, 3, "mask")
    policy = build_policy(p.selection, single, 0)
    term = RankingDistillationLoss(model, ROWS.sequences, single, policy, torch.ones(ITEMS), p, 0)
    without_lists = replace(batch, sequences=np.flatnonzero(ROWS.sequences.lengths)[-1:].repeat(8))
    assert term(without_lists).item() == pytest.approx(0.0)


def test_bert4rec_reports_the_positions_that_it_reconstructs():
    model = made_model("bert4rec")
    users = np.arange(16)
    batch = target_batch(model, ROWS.sequences, np.random.default_rng(0))
    for user, position, target in zip(users[batch.users], batch.positions, batch.targets.tolist(), strict=True):
        assert ROWS.sequences[user][position] == target + 1


def test_missing_item_vectors_are_refused(tmp_path):
    with pytest.raises(InputError, match="the teacher has no item vectors"):
        train_distilled(made_config(embedding=INJECTION, missing="refuse"), tmp_path, Teacher(TEACHER.lists, None))


def test_impossible_params_are_refused():
    with pytest.raises(ValueError, match="gbce has no ranking loss"):
        made_config(loss=Loss(kind="gbce", negatives=4, calibration=0.5))
    with pytest.raises(ValueError, match="validation selects the epoch"):
        made_config(training={"mode": "full_data"})


def made_chains(users: int, seed: int, probability: float) -> list[list[int]]:
    """Return walks in which i is followed by i + 1 with this probability, otherwise by any item."""
    rng = np.random.default_rng(seed)
    walks = []
    for _ in range(users):
        items = [int(rng.integers(1, ITEMS + 1))]
        for _ in range(5):
            step = items[-1] % ITEMS + 1
            items.append(step if rng.random() < probability else int(rng.integers(1, ITEMS + 1)))
        walks.append(items)
    return walks


# BERT4Rec masks few positions of so few users: it needs more of both
@pytest.mark.parametrize(
    ("kind", "users", "epochs", "rate"),
    [
        ("sasrec", 25, 8, 1e-2),
        ("gru4rec", 25, 8, 1e-2),
        ("caser", 25, 8, 1e-2),
        pytest.param("bert4rec", 40, 100, 5e-3, marks=pytest.mark.slow),
    ],
)
def test_a_teacher_that_knows_the_pattern_makes_a_better_student(kind, users, epochs, rate, tmp_path):
    rows = with_keys(sequences_from_lists(made_chains(users, 0, 0.5)))
    held_out = sequences_from_lists(made_chains(300, 1, 1.0))
    validation = Validation(held_out.without_last(), held_out.last(), depth=20)
    p = made_config(
        kind, training={"epochs": epochs, "batch_size": 8, "patience": epochs, "learning_rate": rate}, loss=CE
    )
    p = replace(p, ranking=replace(p.ranking, weight=2.0))
    gains = []
    for seed in range(2):
        teacher = Teacher(made_lists(rows, successors, [0.0, 3.0, 6.0]), None)
        students, work = Students(p, rows, VOCABULARY, validation, seed), tmp_path / str(seed)
        baseline = students.train_baseline(work / "baseline", lambda _: None)
        distilled = students.train_distilled(teacher, work / "distilled", lambda _: None)
        models = [student.result.model for student in (baseline, distilled)]
        gains.append([user_ndcg(model, validation, 20) for model in models])
    comparison = compare(*np.array(gains).swapaxes(0, 1))
    assert comparison.distilled > comparison.baseline
    assert comparison.p_permutation < 0.01  # of these two seeds: others would need more of them


def test_items_without_a_vector_are_refused_or_counted(tmp_path):
    p = replace(made_config("sasrec"), embedding=INJECTION, missing="refuse")
    with pytest.raises(InputError, match=f"no vector of 2 of the student's {ITEMS} items"):
        train_distilled(p, tmp_path)
    complete = ItemEmbeddings(VOCABULARY.item_ids, np.ones((ITEMS, 6), dtype=np.float32))
    student = train_distilled(p, tmp_path, replace(TEACHER, embeddings=complete))
    assert student.alignment["items without a teacher's vector"] == 0
