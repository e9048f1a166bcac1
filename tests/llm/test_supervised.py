import pytest
import torch
from kitrec.llm.finetuning.supervised import noise_like


def test_noise_has_the_papers_size_for_each_samples_own_length():
    """U(-1, 1) has variance 1/3: the noise of a sample of L positions has the norm alpha sqrt(L d / 3) / sqrt(L d)."""
    torch.manual_seed(0)
    embedded, lengths = torch.zeros(2, 400, 256), torch.tensor([400, 100])
    noise = noise_like(embedded, lengths, alpha=5.0)
    for row, length in enumerate(lengths.tolist()):
        assert noise[row, :length].norm().item() == pytest.approx(5 / 3**0.5, rel=0.01)
        assert noise[row].abs().max().item() <= 5 / (length * 256) ** 0.5
    assert noise[0].mean().abs() < 1e-3


def test_the_noise_of_a_sample_does_not_know_how_far_its_batch_is_padded():
    sizes = [
        noise_like(torch.zeros(1, padded, 64), torch.tensor([50]), alpha=3.0).abs().max().item()
        for padded in (50, 5000)
    ]
    assert sizes == pytest.approx([3 / (50 * 64) ** 0.5] * 2, rel=0.01)
