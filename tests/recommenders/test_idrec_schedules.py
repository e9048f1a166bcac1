"""The learning rate over a training, and output vectors of their own."""

import math

import pytest
import torch

from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import init_training, train
from kitrec.training.schedule import rate_factor, set_learning_rate
from tests.recommenders.made_models import CE, ITEMS, a_course, a_model, some_sequences


def rate(done: float, schedule: str, warmup: float) -> float:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=9.0)
    set_learning_rate(optimizer, 2.0, rate_factor(schedule, warmup, done))
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("constant", [2.0, 2.0, 2.0]),
        ("linear", [2.0, 1.0, 0.0]),
        ("cosine", [2.0, 1.0, 0.0]),
    ],
)
def test_a_schedule_begins_after_the_warm_up_and_ends_with_the_training(schedule, at):
    assert [rate(done, schedule=schedule, warmup=0.0) for done in (0.0, 0.5, 1.0)] == pytest.approx(at)
    warm = {"schedule": schedule, "warmup": 0.2}
    assert [rate(done, **warm) for done in (0.0, 0.1, 0.2)] == pytest.approx([0.0, 1.0, 2.0])
    assert [rate(done, **warm) for done in (0.6, 1.0)] == pytest.approx(at[1:])  # the middle of what is left


def test_a_quarter_of_a_cosine():
    assert rate(0.25, schedule="cosine", warmup=0.0) == pytest.approx(1 + math.cos(math.pi / 4))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_training_ends_at_the_rate_of_its_schedule(schedule):
    course = a_course(mode="full_data", epochs=4, schedule=schedule, learning_rate=1e-3)
    training = init_training(a_model("sasrec"), course)
    rates = []
    train(training, some_sequences(20), None, course, CE, 0, lambda t: rates.append(t.optimizer.param_groups[0]["lr"]))
    assert rates == sorted(rates, reverse=True) and rates[0] > 5e-4 and rates[-1] < 3e-4


def test_output_vectors_of_their_own_leave_the_items_alone():
    shared, own = (a_model("bert4rec", share_embeddings=share) for share in (True, False))
    assert isinstance(own, BERT4Rec)
    assert shared.output()[0].data_ptr() == shared.items.weight[1:].data_ptr()
    assert own.output()[0].shape == (ITEMS, 16)
    before, asked = own.output()[0].clone(), of_lists([[1, 2, 3]])
    state = represent(own, asked)
    with torch.no_grad():
        own.items.weight[5:].add_(1.0)  # items that nobody reads here
    assert torch.equal(own.output()[0], before) and torch.allclose(represent(own, asked), state, atol=1e-6)
