"""SSCDR's losses and scores against numpy."""

import numpy as np
import pytest
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import sequences_from_lists
from tests.recommenders.made_domains import made_model, made_pair_batch, made_users


def ball(point):
    return point / max(np.linalg.norm(point), 1.0)


def distance(one, other):
    return float(((one - other) ** 2).sum())


class Plain:
    """Points and mapping of the model in numpy."""

    def __init__(self, model):
        self.items = model.items.weight.detach().double().numpy()
        self.user_tables = [table.weight.detach().double().numpy() for table in getattr(model.users, "tables", [])]
        self.maps = [table.weight.detach().double().numpy() for table in getattr(model.users, "maps", [])]
        self.layers = [parameter.detach().double().numpy() for parameter in model.map.parameters()]

    def f(self, point):
        first, shift, second, end = self.layers
        return second @ np.tanh(first @ point + shift) + end

    def user(self, history, side):
        items_of_side = history[(history <= 20) == (side == 0)]
        return ball(self.maps[side] @ self.items[items_of_side].mean(0)) if len(items_of_side) else None


def test_the_loss_of_the_papers_form_equals_its_formula():
    users = made_users(7, indexed=True)
    model, batch = made_model("sscdr", users=7, supervised=0.7, unsupervised=0.3), made_pair_batch(users)
    plain, n = Plain(model), len(batch.counted)
    numbers = batch.users.indices.numpy() + 1
    metric, unsupervised, counts = np.zeros(2), 0.0, batch.counted.numpy().sum(0)
    for k in range(n):
        points = [ball(table[numbers[k]]) for table in plain.user_tables]
        for side in (0, 1):
            if batch.counted[k, side]:
                items = [ball(plain.items[i]) for i in batch.items[k, side].tolist()]
                hinge = [max(0.5 + distance(points[side], items[0]) - distance(points[side], j), 0) for j in items[1:]]
                metric[side] += np.mean(hinge) / counts[side]
        if batch.counted[k, 0]:
            mapped = plain.f(ball(plain.items[int(batch.items[k, 0, 0])]))
            other = ball(plain.user_tables[1][numbers[k - 1]])
            unsupervised += max(0.5 + distance(mapped, points[1]) - distance(mapped, other), 0) / counts[0]
    supervised = np.mean(
        [distance(plain.f(ball(plain.user_tables[0][u])), ball(plain.user_tables[1][u])) for u in numbers]
    )
    expected = metric.sum() + 0.7 * supervised + 0.3 * unsupervised
    assert float(model.loss(batch)) == pytest.approx(expected, rel=1e-5)


def test_an_indexed_user_without_ratings_on_a_side_has_no_point_there():
    """Their row of that side was never trained, so scores must not depend on it."""
    users = UserHistories(sequences_from_lists([[1, 2], [3, 22]]), np.arange(2))
    model, candidates = made_model("sscdr", users=2), np.tile(np.arange(21, 27), (2, 1))
    before = model.candidate_scores(users, candidates)
    with torch.no_grad():
        model.users.tables[1].weight[1:3] += 0.3
    after = model.candidate_scores(users, candidates)
    assert np.allclose(before[0], after[0]) and not np.allclose(before[1], after[1])


def test_the_mapping_losses_update_the_mapping_only():
    batch = made_pair_batch(made_users(6))
    slopes = []
    for weight in (0.0, 5.0):
        model = made_model("sscdr", supervised=weight, unsupervised=weight)
        model.loss(batch).backward()
        slopes.append((model.items.weight.grad.to_dense(), [weight.grad for weight in model.map.parameters()]))
    assert torch.allclose(slopes[0][0], slopes[1][0], atol=1e-7)
    assert all(float(slope.abs().max()) > 0 for slope in slopes[1][1])


def test_scores_are_negative_distances_to_the_mapped_user():
    model, users = made_model("sscdr"), made_users(5)
    plain, candidates = Plain(model), np.tile(np.arange(21, 27), (5, 1))
    cold = users.histories.take(np.arange(5))
    scores = model.candidate_scores(users, candidates)
    for u in range(5):
        history = cold[u]
        hop = np.mean([plain.f(ball(plain.items[i])) for i in history[history <= 20]], axis=0)
        v = (plain.f(plain.user(history, 0)) + hop) / 2
        middle = (v + plain.user(history, 1)) / 2
        expected = [-distance(middle, ball(plain.items[i])) for i in candidates[u]]
        assert scores[u].tolist() == pytest.approx(expected, abs=1e-5)
