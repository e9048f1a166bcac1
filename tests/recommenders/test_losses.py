"""Losses against torch's, or against the formula computed by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kitrec.recommenders import losses
from kitrec.recommenders.data.negatives import negatives_per_target, shared_negatives
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.target_batches import target_batch
from kitrec.recommenders.models.params import Masking
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import mean_loss
from tests.recommenders.made_models import CE, KINDS, made_model


@pytest.fixture
def numbers():
    torch.manual_seed(0)
    states = torch.randn(600, 8, requires_grad=True)  # more than one chunk
    weight, bias = torch.randn(40, 8, requires_grad=True), torch.randn(40, requires_grad=True)
    return states, weight, bias, torch.randint(40, (600,))


@pytest.mark.parametrize("biased", [True, False])
def test_cross_entropy_and_its_gradients_equal_torchs(numbers, biased):
    states, weight, bias, targets = numbers
    inputs = (states, weight, bias) if biased else (states, weight)
    mine = losses.cross_entropy(states, targets, (weight, bias if biased else None))
    theirs = F.cross_entropy(F.linear(states, weight, bias if biased else None), targets)
    assert mine.item() == pytest.approx(theirs.item(), abs=1e-6)
    for mine_grad, theirs_grad in zip(
        torch.autograd.grad(mine, inputs), torch.autograd.grad(theirs, inputs), strict=True
    ):
        assert torch.allclose(mine_grad, theirs_grad, atol=1e-6)


def test_mixed_precision_stays_near_full_precision(numbers):
    states, weight, bias, targets = numbers
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine = losses.cross_entropy(states, targets, (weight, bias))
    theirs = F.cross_entropy(F.linear(states, weight, bias), targets)
    assert mine.item() == pytest.approx(theirs.item(), rel=2**-8)  # bfloat16 has 8 bits
    for mine_grad, theirs_grad in zip(
        *(torch.autograd.grad(loss, numbers[:3]) for loss in (mine, theirs)), strict=True
    ):
        assert mine_grad.dtype == torch.float32 and (mine_grad - theirs_grad).norm() < 2**-6 * theirs_grad.norm()


def test_an_improbable_target_has_a_finite_loss():
    states, weight = torch.tensor([[200.0]], requires_grad=True), torch.tensor([[1.0], [-1.0]])
    assert losses.cross_entropy(states, torch.tensor([1]), (weight, None)).item() == pytest.approx(400.0)


def test_sampled_cross_entropy_over_every_item_is_the_full_cross_entropy(numbers):
    states, weight, bias, targets = numbers
    everything = torch.arange(40)  # the target's second appearance counts nothing
    mine = losses.sampled_cross_entropy(states, targets, (weight, bias), everything)
    assert mine.item() == pytest.approx(losses.cross_entropy(states, targets, (weight, bias)).item(), abs=1e-5)


def test_sampled_cross_entropy_is_that_of_the_target_among_the_negatives(numbers):
    """A target that is also a negative counts once."""
    states, weight, bias, targets = numbers
    sampled = torch.tensor([3, 11, 27, 39])
    assert torch.isin(targets, sampled).any()
    logits, each = F.linear(states, weight, bias), []
    for row, item in zip(logits, targets.tolist(), strict=True):
        rest = [other for other in sampled.tolist() if other != item]
        each.append(F.cross_entropy(row[[item, *rest]][None], torch.tensor([0])))
    assert losses.sampled_cross_entropy(states, targets, (weight, bias), sampled).item() == pytest.approx(
        torch.stack(each).mean().item(), abs=1e-5
    )


@pytest.mark.parametrize("count", [1, 3])
def test_binary_cross_entropy_equals_torchs(numbers, count):
    states, weight, bias, targets = numbers
    negatives = torch.randint(40, (600, count))
    logits = F.linear(states, weight, bias)
    positive, other = logits.gather(1, targets[:, None]), logits.gather(1, negatives)
    expected = F.binary_cross_entropy_with_logits(positive, torch.ones_like(positive))
    expected = expected + F.binary_cross_entropy_with_logits(other, torch.zeros_like(other))
    assert losses.bce(states, targets, (weight, bias), negatives).item() == pytest.approx(expected.item(), abs=1e-6)


def test_gbce_equals_the_formula_computed_by_hand():
    """One target with logit 1, two of four other items as negatives with logits 0 and -1; t = 0.5."""
    weight = torch.tensor([[1.0], [0.0], [-1.0], [5.0], [5.0]])
    sampling = 2 / 4
    power = sampling * (0.5 * (1 - 1 / sampling) + 1 / sampling)

    def sigma(x):
        return 1 / (1 + math.exp(-x))

    expected = -(power * math.log(sigma(1)) + math.log(1 - sigma(0)) + math.log(1 - sigma(-1))) / 3
    loss = losses.gbce(torch.tensor([[1.0]]), torch.tensor([0]), (weight, None), torch.tensor([1, 2]), 0.5)
    assert power == 0.75
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_gbce_without_calibration_is_plain_binary_cross_entropy(numbers):
    states, weight, bias, targets = numbers
    negatives = torch.tensor([3])
    apart = (targets != 3).nonzero()[:, 0]
    mine = losses.gbce(states[apart], targets[apart], (weight, bias), negatives, 0.0)
    theirs = losses.bce(states[apart], targets[apart], (weight, bias), negatives.expand(len(apart), 1))
    assert 2 * mine.item() == pytest.approx(theirs.item(), abs=1e-5)


def test_negatives_per_target_are_uniform_over_the_items_outside_the_users_sequence():
    sequences = sequences_from_lists([[1, 2, 3], [4, 5, 6, 7, 8, 9]])
    users = np.repeat([0, 1], 2000)
    sampled = negatives_per_target(np.random.default_rng(0), sequences, users, items=10, count=2)
    assert set(sampled[users == 0].flat) == {4, 5, 6, 7, 8, 9, 10}
    assert set(sampled[users == 1].flat) == {1, 2, 3, 10}
    shares = np.bincount(sampled[users == 1].flat)[[1, 2, 3, 10]] / 4000
    assert np.abs(shares - 0.25).max() < 0.03  # four standard errors


def test_a_user_who_has_every_item_still_gets_negatives():
    sampled = negatives_per_target(
        np.random.default_rng(0), sequences_from_lists([[1, 2, 3]]), np.zeros(5, int), items=3, count=1
    )
    assert sampled.shape == (5, 1)


def test_shared_negatives_cover_all_items():
    sampled = shared_negatives(np.random.default_rng(0), items=5, count=1000)
    assert set(sampled) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("kind", KINDS)
def test_a_models_loss_is_the_mean_over_the_next_items_of_each_prefix(kind):
    """Each prefix of a user and its next item (Caser: the next two) are listed by hand and read one at a time."""
    model = made_model(kind, masking=Masking(random=1e-9, last=1.0)) if kind == "bert4rec" else made_model(kind)
    users = [[3, 7, 1, 9], [4, 2], [8, 8, 5]]
    num_targets = 2 if kind == "caser" else 1
    prefixes = [
        (user[:k], user[k + step])
        for user in users
        for k in (range(1, len(user)) if kind != "bert4rec" else [len(user) - 1])
        for step in range(num_targets)
        if k + step < len(user)
    ]
    weight, bias = model.output()
    if kind == "sasrec":  # its positions count from the newest item, so a prefix is read with the items after it
        states = torch.cat([model(pack(sequences_from_lists([user[:-1]]))) for user in users])
    else:
        states = torch.cat([represent(model, sequences_from_lists([prefix])) for prefix, _ in prefixes])
    logits = states @ weight.T if bias is None else states @ weight.T + bias
    expected = F.cross_entropy(logits, torch.tensor([item - 1 for _, item in prefixes]))
    sequences = sequences_from_lists(users)
    batch = target_batch(model, sequences, np.random.default_rng(0))
    loss = mean_loss(batch, model, sequences, CE, np.random.default_rng(0))
    assert len(batch.targets) == len(prefixes) and loss.item() == pytest.approx(expected.item(), abs=1e-5)
