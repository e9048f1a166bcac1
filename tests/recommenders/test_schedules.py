"""Learning-rate schedules over a training, and separate output embeddings."""

import math

import pytest
import torch

from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import init_training, train
from kitrec.training.schedule import rate_factor, set_learning_rate
from tests.recommenders.made_models import CE, ITEMS, made_model, made_sequences, made_training_config


def rate(done: float, **changed) -> float:
    config = made_training_config(learning_rate=2.0, **changed)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=9.0)
    factor = rate_factor(config.schedule, config.warmup_ratio, done)
    set_learning_rate(optimizer, config.learning_rate, factor)
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("constant", [2.0, 2.0, 2.0]),
        ("linear", [2.0, 1.0, 0.0]),
        ("cosine", [2.0, 1.0, 0.0]),
    ],
)
def test_a_schedule_starts_after_the_warmup_and_ends_with_the_training(schedule, at):
    assert [rate(done, schedule=schedule, warmup_ratio=0.0) for done in (0.0, 0.5, 1.0)] == pytest.approx(at)
    warm = {"schedule": schedule, "warmup_ratio": 0.2}
    assert [rate(done, **warm) for done in (0.0, 0.1, 0.2)] == pytest.approx([0.0, 1.0, 2.0])
    assert [rate(done, **warm) for done in (0.6, 1.0)] == pytest.approx(at[1:])  # the middle of what is left


def test_the_cosine_schedule_is_a_half_cosine():
    assert rate(0.25, schedule="cosine", warmup_ratio=0.0) == pytest.approx(1 + math.cos(math.pi / 4))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_training_follows_its_schedule_to_the_last_epoch(schedule):
    config = made_training_config(mode="full_data", epochs=4, schedule=schedule, learning_rate=1e-3)
    state = init_training(made_model("sasrec"), config)
    rates = []
    train(state, made_sequences(20), None, config, CE, 0, lambda s: rates.append(s.optimizer.param_groups[0]["lr"]))
    assert rates == sorted(rates, reverse=True) and rates[0] > 5e-4 and rates[-1] < 3e-4


def test_separate_output_embeddings_do_not_change_with_the_item_embeddings():
    shared, separate = (made_model("bert4rec", share_embeddings=share) for share in (True, False))
    assert isinstance(separate, BERT4Rec)
    assert shared.output()[0].data_ptr() == shared.items.weight[1:].data_ptr()
    assert separate.output()[0].shape == (ITEMS, 16)
    before, histories = separate.output()[0].clone(), sequences_from_lists([[1, 2, 3]])
    state = represent(separate, histories)
    with torch.no_grad():
        separate.items.weight[5:].add_(1.0)  # items outside the history
    assert torch.equal(separate.output()[0], before) and torch.allclose(
        represent(separate, histories), state, atol=1e-6
    )
