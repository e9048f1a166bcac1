"""Every weight and every loss on a case of three items, computed by hand beside the assertion."""

import math

import numpy as np
import pytest
import torch

from kitrec.distillation import losses
from kitrec.distillation.item_embeddings import EmbeddingTable
from kitrec.distillation.item_vector_transfer import Injection
from kitrec.distillation.losses import importance_weights
from kitrec.distillation.params import Importance

FULL = Importance(position=0.3, confidence=0.5, consistency=0.1, decay=1.0)
DISTANCES = torch.tensor([[0.0, math.log(2), math.log(4)]])
CONSISTENT = torch.tensor([[False, True, False]])


def only(**weights) -> Importance:
    return Importance(**({"position": 0.0, "confidence": 0.0, "consistency": 0.0, "decay": 1.0} | weights))


def close(actual: torch.Tensor, expected) -> bool:
    return torch.allclose(actual, torch.tensor(expected, dtype=actual.dtype), atol=1e-6)


def test_position_decays_exponentially_with_the_rank():
    # e^-1 : e^-2 : e^-3, over their sum .553002
    assert close(importance_weights(DISTANCES, CONSISTENT, only(position=1.0)), [[0.66524096, 0.24472847, 0.09003057]])
    # decay 2: e^-.5 : e^-1 : e^-1.5, over 1.197540
    assert close(
        importance_weights(DISTANCES, CONSISTENT, only(position=1.0, decay=2.0)), [[0.50648039, 0.30719589, 0.18632372]]
    )


def test_confidence_is_exp_of_minus_distance():
    # 1 : 1/2 : 1/4
    assert close(importance_weights(DISTANCES, CONSISTENT, only(confidence=2.0)), [[4 / 7, 2 / 7, 1 / 7]])


def test_consistency_counts_items_that_the_student_lists_as_well():
    assert close(importance_weights(DISTANCES, CONSISTENT, only(consistency=1.0)), [[0.0, 1.0, 0.0]])
    assert close(importance_weights(DISTANCES, ~CONSISTENT, only(consistency=1.0)), [[0.5, 0.0, 0.5]])


def test_the_three_weights_combined():
    # .3 * .665241 + .5 * .571429          = .485287
    # .3 * .244728 + .5 * .285714 + .1     = .316276
    # .3 * .090031 + .5 * .142857          = .098438, sum .9
    assert close(importance_weights(DISTANCES, CONSISTENT, FULL), [[0.53920730, 0.35141742, 0.10937528]])


def test_an_empty_rank_has_no_weight_and_later_items_keep_theirs():
    with_gap = torch.tensor([[0.0, math.inf, math.log(4)]])
    # e^-1 : e^-3, the third item stays third
    assert close(importance_weights(with_gap, CONSISTENT, only(position=1.0)), [[0.88079708, 0.0, 0.11920292]])
    assert close(importance_weights(with_gap, CONSISTENT, only(confidence=1.0)), [[0.8, 0.0, 0.2]])
    assert close(importance_weights(torch.full((1, 3), math.inf), CONSISTENT, FULL), [[0.0, 0.0, 0.0]])


def test_a_row_without_any_weight_stays_at_zero():
    assert close(
        importance_weights(DISTANCES, torch.zeros(1, 3, dtype=torch.bool), only(consistency=1.0)), [[0.0, 0.0, 0.0]]
    )


def test_large_distances_do_not_underflow():
    # 500 apart from 0: the ratio 1 : 1/2 : 1/4 is the same
    assert close(importance_weights(DISTANCES + 500, CONSISTENT, only(confidence=1.0)), [[4 / 7, 2 / 7, 1 / 7]])


STATE = torch.tensor([[1.0]])  # a state that makes every item's score its weight
SCORES = torch.tensor([[2.0], [1.0], [0.0], [-1.0]])
LISTED, WEIGHTS, NEGATIVE = torch.tensor([[0, 1, 2]]), torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[3]])


def test_ranking_against_a_negative():
    # .5 * log(1 + e^-2) + .3 * log(1 + e^-1) + .2 * log 2 = .063464 + .093979 + .138629; log(1 + e^-1) = .313262
    assert close(losses.ranking_bce(STATE, LISTED, WEIGHTS, (SCORES, None), NEGATIVE), [0.60933387])


def test_a_low_negative_has_hardly_any_gradient():
    # -log(1 - s(x)) has slope s(x): 4.5e-5 at -10; the published -log s(1 - x) has the same limit but 1/2 at 1, not .73
    low = torch.tensor([[0.0], [0.0], [0.0], [-10.0]], requires_grad=True)
    losses.ranking_bce(STATE, LISTED, WEIGHTS, (low, None), NEGATIVE).sum().backward()
    assert math.isclose(low.grad[3].item(), 1 / (1 + math.exp(10)), rel_tol=1e-4)
    high = torch.tensor([[0.0], [0.0], [0.0], [1.0]], requires_grad=True)
    losses.ranking_bce(STATE, LISTED, WEIGHTS, (high, None), NEGATIVE).sum().backward()
    assert math.isclose(high.grad[3].item(), 1 / (1 + math.exp(-1)), rel_tol=1e-4)


def test_ranking_over_all_items():
    # log(e^2 + e + 1 + e^-1) = 2.440190; .5 * 2 + .3 * 1 = 1.3
    assert close(losses.ranking_ce(STATE, LISTED, WEIGHTS, (SCORES, None)), 1.14018970)


def test_ranking_over_all_items_has_torchs_gradient():
    torch.manual_seed(0)
    states, weight, bias = torch.randn(5, 4), torch.randn(9, 4), torch.randn(9)
    items, weights = torch.stack([torch.randperm(9)[:3] for _ in range(5)]), torch.rand(5, 3).softmax(1)
    ours = [part.clone().requires_grad_() for part in (states, weight, bias)]
    losses.ranking_ce(ours[0], items, weights, (ours[1], ours[2])).backward()
    reference = [part.clone().requires_grad_() for part in (states, weight, bias)]
    logs = (reference[0] @ reference[1].T + reference[2]).log_softmax(1)
    (-(weights * logs.gather(1, items)).sum()).backward()
    assert all(torch.allclose(a.grad, b.grad, atol=1e-5) for a, b in zip(ours, reference, strict=True))


def test_dros_of_three_items():
    output, weights = (torch.tensor([[1.0], [0.0], [-1.0]]), None), torch.tensor([0.5, 0.25, 0.25])
    # all: e^.5 + e^0 + e^.25 = 3.932747. Item 0: - e^.5 + e^0 -> log 3.284025. Item 1: - e^0 + e^.25 -> log 4.216772
    assert close(losses.dros(STATE, torch.tensor([[0, 1]]), output, weights, beta=1.0), [[1.18907010, 1.43906953]])
    # beta 2 halves every exponent: e^.25 + 1 + e^.125 = 3.417174; item 0: - e^.25 + 1 -> log 3.133148
    assert close(losses.dros(STATE, torch.tensor([[0]]), output, weights, beta=2.0), [[1.14203826]])


def test_dros_does_not_overflow():
    output, weights = (torch.tensor([[60.0], [0.0], [-50.0]]), None), torch.ones(3)
    # e^3600 leads: item 0 puts e^3481 in its place, item 1 changes nothing to be seen
    assert close(losses.dros(STATE, torch.tensor([[1, 0]]), output, weights, beta=1.0), [[3600.0, 3481.0]])


@pytest.mark.parametrize("score", [0.5, 9.0, 15.0, 40.0, -50.0])
@pytest.mark.parametrize("listed", [[0], [0, 1], [1, 0, 0]])
def test_dros_and_its_gradient_with_one_dominant_item(score, listed):
    """Against the sum itself in 64 bits, item by item; a repeated item counts once."""
    item_weights, items = torch.tensor([1.0, 0.5, 0.25]), torch.tensor([listed])
    weight = torch.tensor([[score], [0.3], [-0.2]], requires_grad=True)
    loss = losses.dros(STATE, items, (weight, None), item_weights, beta=2.0)
    loss.sum().backward()
    exact = weight.detach().double().requires_grad_()
    scores, rate = exact[:, 0], item_weights.double() / 2
    total = torch.zeros((), dtype=torch.float64)
    for rank, y in enumerate(listed):
        summands = [rate[j] * (scores[j] - (1 if j == y else 0)) ** 2 for j in range(3)]
        expected = torch.stack(summands).logsumexp(0)
        assert loss[0, rank].item() == pytest.approx(expected.item(), rel=1e-5)
        total = total + expected
    total.backward()
    assert torch.allclose(weight.grad.double(), exact.grad, rtol=1e-4, atol=1e-5)


def test_popularity_weights_by_hand():
    # (3 + 1) / 6 and 1 / 6, to the power .05
    weights = losses.popularity_weights(torch.tensor([3.0, 0.0, 0.0]), 0.05)
    assert close(weights, [0.97993113, 0.91430915, 0.91430915])


def test_distance_of_three_items():
    student, projected = torch.tensor([[0.0, 0], [1, 0], [2, 0]]), torch.tensor([[0.0, 1], [1, 1], [0, 0]])
    assert close(losses.distance(student, projected), 2.0)  # (1 + 1 + 4) / 3


def test_injection_adds_the_projected_teacher_to_items_that_have_a_vector():
    has_vector = np.array([False, True, True, False])
    table = EmbeddingTable(np.array([[0.0], [3.0], [1.0], [0.0]], dtype=np.float32), has_vector)
    injection = Injection(table, hidden=1, weight=0.5)
    with torch.no_grad():
        injection.project.weight.fill_(2.0)
        injection.project.bias.fill_(1.0)
    # E + .5 * (2 t + 1): 10 + 3.5, 20 + 1.5; padding and an item without a vector stay
    items = injection(torch.tensor([[0.0], [10.0], [20.0], [30.0]]))
    assert close(items, [[0.0], [13.5], [21.5], [30.0]])


@pytest.mark.parametrize("loss", ["position", "confidence"])
def test_weights_are_nonnegative_and_sum_to_one(loss):
    torch.manual_seed(1)
    distances = torch.rand(50, 10) * 30
    weights = importance_weights(
        distances, torch.rand(50, 10) > 0.5, FULL if loss == "position" else only(confidence=1.0)
    )
    assert torch.allclose(weights.sum(1), torch.ones(50), atol=1e-6)
    assert (weights >= 0).all()
