"""The chunked loss is torch's own, value and gradient, and never makes all logits at once."""

import pytest
import torch
import torch.nn.functional as F

from kitrec.llm import loss

WIDTH, VOCABULARY = 16, 50


@pytest.mark.parametrize("positions", [1, 7, 8, 9, 30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradient_equal_the_unchunked_loss(monkeypatch, positions, smoothing):
    monkeypatch.setattr(loss, "CHUNK", 8)
    g = torch.Generator().manual_seed(positions)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    wanted = torch.randint(VOCABULARY, (positions,), generator=g)
    values, gradients = [], []
    for whole in (True, False):
        hidden = torch.randn(positions, WIDTH, generator=torch.Generator().manual_seed(1)).requires_grad_()
        head.zero_grad()
        if whole:
            total = F.cross_entropy(head(hidden), wanted, reduction="sum", label_smoothing=smoothing)
        else:
            total = loss.summed_loss(head, hidden, wanted, smoothing)
        total.backward()
        values.append(total.item())
        gradients.append((hidden.grad.clone(), head.weight.grad.clone()))
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_label_smoothing_by_hand():
    """Three classes, logits 0, so every log p is -ln 3: whatever the smoothing, the loss is ln 3."""
    head = torch.nn.Linear(2, 3, bias=False)
    head.weight.data.zero_()
    assert loss.summed_loss(head, torch.ones(1, 2), torch.tensor([1]), 0.3).item() == pytest.approx(1.0986123, abs=1e-6)
    head.weight.data[:, 0] = torch.tensor([1.0, 0.0, 0.0])  # logits 1, 0, 0; label 0
    by_hand = -(0.7 * (1 - 1.5514447) + 0.1 * ((1 - 1.5514447) + 2 * (0 - 1.5514447)))  # ln(e + 2) = 1.5514447
    assert loss.summed_loss(head, torch.ones(1, 2), torch.tensor([0]), 0.3).item() == pytest.approx(by_hand, abs=1e-6)


def test_at_most_a_chunk_of_logits_is_made(monkeypatch):
    monkeypatch.setattr(loss, "CHUNK", 8)
    seen = []

    def head(hidden):
        seen.append(len(hidden))
        return hidden @ torch.ones(WIDTH, VOCABULARY)

    hidden = torch.randn(30, WIDTH).requires_grad_()
    loss.summed_loss(head, hidden, torch.zeros(30, dtype=torch.long), 0.1).backward()
    assert max(seen) == 8 and len(seen) == 8  # four chunks, each once forward and once again in the backward pass
