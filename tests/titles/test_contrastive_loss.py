"""The contrastive loss against a loop and against theory."""

import math

import numpy as np
import pytest
import torch

from kitrec.titles.embedding import contrastive_loss


def test_the_loss_is_that_of_a_loop_over_users():
    rng = np.random.default_rng(3)
    users, items = (torch.tensor(rng.normal(size=(n, 4))) for n in (3, 6))
    numbers, domains = torch.tensor([7, 8, 7, 9, 8, 5]), torch.tensor([1, 2, 1, 1, 2, 2])
    expected = []
    for b in range(3):
        negatives = [j for j in range(6) if numbers[j] != numbers[b] and domains[j] == domains[b]]
        logits = {j: 2.5 * float(users[b] @ items[j]) for j in (b, *negatives)}
        expected.append(math.log(sum(map(math.exp, logits.values()))) - logits[b])
    loss = contrastive_loss(users, items, numbers, domains, torch.tensor(2.5))
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_it_learns_what_speaks_for_a_user_and_leaves_popularity_out():
    """Two kinds of users take three items with known probabilities: the scores become log p(i | u) - log p(i)."""
    joint = np.array([[0.40, 0.05, 0.05], [0.30, 0.05, 0.15]])
    pairs = np.random.default_rng(0).choice(6, size=40_000, p=joint.ravel())
    users, taken = torch.from_numpy(pairs // 3), torch.from_numpy(pairs % 3)
    table = torch.zeros(2, 3, requires_grad=True)
    optimizer = torch.optim.Adam([table], lr=0.05)
    one_hot = torch.eye(3)
    for step in range(400):
        rows = slice(100 * step, 100 * step + 100)
        numbers, domains = torch.arange(100), torch.ones(100)  # as if all were different: no equal item is left out
        loss = contrastive_loss(table[users[rows]], one_hot[taken[rows]], numbers, domains, torch.tensor(1.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
    expected = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0))
    learned = table.detach().numpy()
    assert learned - learned.mean(1, keepdims=True) == pytest.approx(
        expected - expected.mean(1, keepdims=True), abs=0.15
    )
