"""The contrastive loss against a loop and against theory."""

import math

import numpy as np
import pytest
import torch

from kitrec.titles.embedding import contrastive_loss


def test_the_loss_is_that_of_a_loop_over_users():
    rng = np.random.default_rng(3)
    scores, shares = torch.tensor(rng.normal(size=(3, 5))), torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    taken, domains = torch.tensor([0, 3, 0]), torch.tensor([1, 1, 2, 2, 1])
    expected = []
    for b, i in enumerate(taken.tolist()):
        logits = {j: float(scores[b, j]) + math.log(shares[j]) for j in range(5) if domains[j] == domains[i]}
        expected.append(math.log(sum(map(math.exp, logits.values()))) - logits[i])
    loss = contrastive_loss(scores, taken, domains, shares)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-6)


@pytest.mark.parametrize("read", [[0, 1, 2], [1, 2]])
def test_it_learns_what_speaks_for_a_user_and_leaves_popularity_out(read: list[int]):
    """Two kinds of users take three items with known probabilities: the scores become log p(i | u) - log p(i).

    Those of two items differ by as much where the third is not read."""
    joint = np.array([[0.40, 0.05, 0.05], [0.30, 0.05, 0.15]])
    pairs = np.random.default_rng(0).choice(6, size=40_000, p=joint.ravel())
    pairs = pairs[np.isin(pairs % 3, read)]
    users, taken = torch.from_numpy(pairs // 3), torch.from_numpy(pairs % 3 - read[0])
    shares, one_domain = torch.from_numpy(joint.sum(0)[read]), torch.ones(len(read))
    table = torch.zeros(2, len(read), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([table], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = contrastive_loss(table[users], taken, one_domain, shares)
        value.backward()
        return value

    optimizer.step(loss)
    expected = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0))[:, read]
    learned = table.detach().numpy()
    assert learned - learned.mean(1, keepdims=True) == pytest.approx(
        expected - expected.mean(1, keepdims=True), abs=0.1
    )
