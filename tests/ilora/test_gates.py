"""Gates: weights that sum to one, sparse ones that keep the largest, noise during training only."""

import numpy as np
import pytest
import torch

from kitrec.ilora.gates import build_gate
from kitrec.ilora.params import MLP, Dense, Mixture, Noisy, TopK
from tests.ilora.made_teachers import GATES, made_mixture

USERS = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))


def made_gate(kind: str):
    torch.manual_seed(1)
    return build_gate(GATES[kind], 6, 4)


@pytest.mark.parametrize("kind", GATES)
def test_weights_of_a_sample_are_nonnegative_and_sum_to_one(kind):
    for gate in (made_gate(kind).train(), made_gate(kind).eval()):
        weights = gate(USERS)
        assert weights.shape == (50, 4)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(50))


@pytest.mark.parametrize("kind", GATES)
def test_a_sample_does_not_depend_on_its_batch(kind):
    gate = made_gate(kind).eval()
    torch.testing.assert_close(torch.cat([gate(row[None]) for row in USERS]), gate(USERS))


def test_dense_is_the_formula():
    gate = made_gate("dense")
    logits = USERS.numpy().astype(float) @ gate.weigh.weight.detach().numpy().astype(float).T
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(gate(USERS).detach().numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("kind", ["top_k", "noisy"])
def test_the_active_experts_are_those_of_the_largest_logits(kind):
    gate = made_gate(kind).eval()
    for logits, weights in zip(gate.weigh(USERS), gate(USERS), strict=True):
        active = logits.argsort(descending=True)[: GATES[kind].active_experts]
        assert set(weights.nonzero()[:, 0].tolist()) == set(active.tolist())
        torch.testing.assert_close(weights[active], logits[active].softmax(-1))


def test_top_k_of_all_experts_is_dense():
    torch.manual_seed(1)
    gate = build_gate(TopK(kind="top_k", active_experts=4), 6, 4)
    torch.testing.assert_close(gate(USERS), made_gate("dense")(USERS))


def test_noise_is_added_during_training_only_and_has_the_stated_variance():
    torch.manual_seed(1)
    gate = build_gate(Noisy(kind="noisy", active_experts=4), 6, 4)
    assert torch.equal(gate.eval()(USERS), gate(USERS))
    gate.train()
    torch.manual_seed(0)
    drawn = torch.stack([gate(USERS[:1]).log() - gate.weigh(USERS[:1]) for _ in range(4000)])
    differences = drawn[..., 0] - drawn[..., 1]  # the softmax's constant cancels; variance 2 softplus(0)^2
    assert differences.std().item() == pytest.approx(2**0.5 * np.log(2), rel=0.05)


def test_an_unknown_user_gets_a_uniform_dense_gate():
    torch.testing.assert_close(made_gate("dense")(torch.zeros(1, 6)), torch.full((1, 4), 0.25))


def test_impossible_params_are_refused():
    with pytest.raises(ValueError, match="rank: 8 is not divisible by 3"):
        made_mixture(experts=3)
    with pytest.raises(ValueError, match=r"gate\.active_experts: 5 of 4"):
        made_mixture(gate=TopK(kind="top_k", active_experts=5))
    assert isinstance(made_mixture(gate=MLP(kind="mlp", hidden_size=3)), Mixture)
    assert isinstance(made_mixture(gate=Dense(kind="dense")), Mixture)
