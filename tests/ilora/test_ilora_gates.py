import numpy as np
import pytest
import torch

from kitrec.ilora.gates import build_gate
from kitrec.ilora.params import MLP, Dense, Mixture, Noisy, TopK
from tests.ilora.made_teachers import GATES, a_mixture

SEEN = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))


def made(kind: str):
    torch.manual_seed(1)
    return build_gate(GATES[kind], 6, 4)


@pytest.mark.parametrize("kind", GATES)
def test_weights_of_a_sample_are_positive_and_sum_to_one(kind):
    for gate in (made(kind).train(), made(kind).eval()):
        found = gate(SEEN)
        assert found.shape == (50, 4)
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum(-1), torch.ones(50))


@pytest.mark.parametrize("kind", GATES)
def test_a_sample_does_not_depend_on_its_batch(kind):
    gate = made(kind).eval()
    torch.testing.assert_close(torch.cat([gate(row[None]) for row in SEEN]), gate(SEEN))


def test_dense_is_the_formula():
    gate = made("dense")
    logits = SEEN.numpy().astype(float) @ gate.weigh.weight.detach().numpy().astype(float).T
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(gate(SEEN).detach().numpy() - wanted).max() < 1e-6


@pytest.mark.parametrize("kind", ["top_k", "noisy"])
def test_the_kept_experts_are_the_largest(kind):
    gate = made(kind).eval()
    logits, found = gate.weigh(SEEN), gate(SEEN)
    for row, own in zip(logits, found, strict=True):
        kept = row.argsort(descending=True)[: GATES[kind].kept]
        assert set(own.nonzero()[:, 0].tolist()) == set(kept.tolist())
        torch.testing.assert_close(own[kept], row[kept].softmax(-1))


def test_keeping_all_is_dense():
    torch.manual_seed(1)
    every = build_gate(TopK(kind="top_k", kept=4), 6, 4)
    torch.testing.assert_close(every(SEEN), made("dense")(SEEN))


def test_noise_is_there_in_training_alone_and_has_its_size():
    torch.manual_seed(1)
    gate = build_gate(Noisy(kind="noisy", kept=4), 6, 4)
    assert torch.equal(gate.eval()(SEEN), gate(SEEN))
    gate.train()
    torch.manual_seed(0)
    drawn = torch.stack([gate(SEEN[:1]).log() - gate.weigh(SEEN[:1]) for _ in range(4000)])
    differences = drawn[..., 0] - drawn[..., 1]  # the softmax's constant falls out; variance 2 softplus(0)^2
    assert differences.std().item() == pytest.approx(2**0.5 * np.log(2), rel=0.05)


def test_an_unseen_reader_leaves_the_dense_gate_undecided():
    torch.testing.assert_close(made("dense")(torch.zeros(1, 6)), torch.full((1, 4), 0.25))


def test_params_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="rank: 8 is not shared out evenly among 3"):
        a_mixture(experts=3)
    with pytest.raises(ValueError, match=r"gate\.kept: 5 of 4"):
        a_mixture(gate=TopK(kind="top_k", kept=5))
    assert isinstance(a_mixture(gate=MLP(kind="mlp", hidden=3)), Mixture)
    assert isinstance(a_mixture(gate=Dense(kind="dense")), Mixture)
