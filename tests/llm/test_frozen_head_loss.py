"""The chunked loss equals torch's own, value and gradient, and never computes all logits at once."""

import pytest
import torch
import torch.nn.functional as F

from kitrec.llm.finetuning import frozen_head_loss
from kitrec.llm.finetuning.frozen_head_loss import neftune_noise

WIDTH, VOCABULARY = 16, 50


@pytest.mark.parametrize("positions", [1, 7, 8, 9, 30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_value_and_gradient_equal_the_unchunked_loss(monkeypatch, positions, smoothing):
    monkeypatch.setattr(frozen_head_loss, "CHUNK", 8)
    g = torch.Generator().manual_seed(positions)
    weight = torch.randn(VOCABULARY, WIDTH, generator=g)
    targets = torch.randint(VOCABULARY, (positions,), generator=g)
    values, gradients = [], []
    for unchunked in (True, False):
        hidden = torch.randn(positions, WIDTH, generator=torch.Generator().manual_seed(1)).requires_grad_()
        if unchunked:
            total = F.cross_entropy(hidden @ weight.T, targets, reduction="sum", label_smoothing=smoothing)
        else:
            total = frozen_head_loss.summed_loss(weight, hidden, targets, smoothing)
        (3 * total).backward()
        values.append(total.item())
        gradients.append(hidden.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert torch.allclose(*gradients, atol=1e-5)


def test_label_smoothing_by_hand():
    """Three classes, logits 0, so every log p is -ln 3: whatever the smoothing, the loss is ln 3."""
    ones, zeros = torch.ones(1, 2), torch.zeros(3, 2)
    assert frozen_head_loss.summed_loss(zeros, ones, torch.tensor([1]), 0.3).item() == pytest.approx(
        1.0986123, abs=1e-6
    )
    weight = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])  # logits 1, 0, 0; label 0
    by_hand = -(0.7 * (1 - 1.5514447) + 0.1 * ((1 - 1.5514447) + 2 * (0 - 1.5514447)))  # ln(e + 2) = 1.5514447
    assert frozen_head_loss.summed_loss(weight, ones, torch.tensor([0]), 0.3).item() == pytest.approx(by_hand, abs=1e-6)


def test_at_most_a_chunk_of_logits_exists_and_each_is_computed_once(monkeypatch):
    monkeypatch.setattr(frozen_head_loss, "CHUNK", 8)
    sizes = []
    linear = F.linear
    monkeypatch.setattr(frozen_head_loss.F, "linear", lambda h, w: sizes.append(len(h)) or linear(h, w))
    hidden = torch.randn(30, WIDTH).requires_grad_()
    frozen_head_loss.summed_loss(
        torch.ones(VOCABULARY, WIDTH), hidden, torch.zeros(30, dtype=torch.long), 0.1
    ).backward()
    assert sizes == [8, 8, 8, 6]


def test_an_evaluation_computes_no_gradient():
    with torch.no_grad():
        hidden = torch.randn(5, WIDTH, requires_grad=True)
        total = frozen_head_loss.summed_loss(
            torch.ones(VOCABULARY, WIDTH), hidden, torch.zeros(5, dtype=torch.long), 0.1
        )
    assert not total.requires_grad


def test_noise_has_the_papers_size_for_the_length_of_each_sample():
    """U(-1, 1) has variance 1/3: the noise of a sample of L positions has the norm alpha sqrt(L d / 3) / sqrt(L d)."""
    torch.manual_seed(0)
    embedded, lengths = torch.zeros(2, 400, 256), torch.tensor([400, 100])
    noise = neftune_noise(embedded, lengths, alpha=5.0)
    for row, length in enumerate(lengths.tolist()):
        assert noise[row, :length].norm().item() == pytest.approx(5 / 3**0.5, rel=0.01)
        assert noise[row].abs().max().item() <= 5 / (length * 256) ** 0.5
    assert noise[0].mean().abs() < 1e-3


def test_the_noise_of_a_sample_does_not_depend_on_the_padding_of_its_batch():
    sizes = [
        neftune_noise(torch.zeros(1, padded, 64), torch.tensor([50]), alpha=3.0).abs().max().item()
        for padded in (50, 5000)
    ]
    assert sizes == pytest.approx([3 / (50 * 64) ** 0.5] * 2, rel=0.01)
