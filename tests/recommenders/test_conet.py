"""CoNet against the paper's cross unit written out with plain matrices."""

import numpy as np
import pytest
import torch

from tests.recommenders.made_domains import CATALOGUE, made_batch, made_model, made_pair_batch, made_users


def by_hand(model, user, source, target):
    """Return the logits of both towers for single vectors, in numpy and float64."""
    a, b = np.concatenate([user, source]), np.concatenate([user, target])
    for layer_a, layer_b, shared in zip(model.source, model.target, model.cross, strict=True):
        w, v, h = (layer.weight.detach().double().numpy() for layer in (layer_a, layer_b, shared))
        a, b = (
            np.maximum(w @ a + h @ b + layer_a.bias.detach().numpy(), 0),
            np.maximum(v @ b + h @ a + layer_b.bias.detach().numpy(), 0),
        )
    return [
        float(out.weight.detach().double().numpy()[0] @ x + out.bias.item())
        for out, x in ((model.source_out, a), (model.target_out, b))
    ]


def test_forward_is_the_cross_unit_of_the_paper():
    model, rng = made_model("conet"), np.random.default_rng(1)
    user, source, target = (rng.normal(size=(5, *shape, 8)) for shape in ((), (3,), (3,)))
    logits = model(*(torch.from_numpy(x).float() for x in (user, source, target)))
    for n in range(5):
        for c in range(3):
            expected = by_hand(model, user[n], source[n, c], target[n, c])
            assert [tower[n, c].item() for tower in logits] == pytest.approx(expected, abs=1e-5)


def test_gradients_equal_finite_differences():
    model = made_model("conet").double()
    rng = np.random.default_rng(2)
    values = [torch.from_numpy(rng.normal(size=shape)) for shape in ((4, 8), (4, 2, 8), (4, 2, 8))]

    def total():
        source, target = model(*values)
        return (source * 0.7 + target.sigmoid()).sum()

    total().backward()
    for layers in (model.source, model.target, model.cross):
        for layer in layers:
            weight, step = layer.weight, 1e-6
            for position in ((0, 0), (1, 3), (5, 7)):
                with torch.no_grad():
                    weight[position] += step
                    higher = total()
                    weight[position] -= 2 * step
                    lower = total()
                    weight[position] += step
                assert float(weight.grad[position]) == pytest.approx(float(higher - lower) / (2 * step), abs=1e-5)


def test_one_cross_matrix_connects_the_towers_in_both_directions():
    """With the cross matrices each tower depends on the other's item; without them neither does."""
    model = made_model("conet")
    rng = np.random.default_rng(3)
    user, source, target, other = (torch.from_numpy(rng.normal(size=(1, 8))).float() for _ in range(4))

    def moved():
        one, two = model(user, source[:, None], target[:, None]), model(user, other[:, None], target[:, None])
        three = model(user, source[:, None], other[:, None])
        return bool((one[1] != two[1]).any()), bool((one[0] != three[0]).any())

    assert moved() == (True, True)
    with torch.no_grad():
        for layer in model.cross:
            layer.weight.zero_()
    assert moved() == (False, False)


def test_scores_come_from_the_target_tower_beside_the_newest_source_item():
    model, users = made_model("conet"), made_users(6)
    candidates = np.tile(np.arange(21, 31), (6, 1))
    scores = model.candidate_scores(users, candidates)
    user = model.users(made_batch(users), model.items.weight)[0].detach().double().numpy()
    vectors = model.items.weight.detach().double().numpy()
    for u in range(6):
        newest = [item for item in users.histories[u].tolist() if item <= 20][-1]
        for c in range(10):
            expected = by_hand(model, user[u], vectors[newest], vectors[candidates[u, c]])[1]
            assert scores[u, c] == pytest.approx(expected, abs=1e-5)


def test_mixed_candidates_get_the_scores_of_their_domains_towers():
    model, users = made_model("conet"), made_users(4)
    mixed = model.candidate_scores(users, np.tile([3, 25], (4, 1)))
    separate = [model.candidate_scores(users, np.full((4, 1), item)) for item in (3, 25)]
    assert np.allclose(mixed, np.concatenate(separate, axis=1), atol=1e-6)


def test_the_loss_is_the_mean_cross_entropy_of_each_domain():
    model, batch = made_model("conet"), made_pair_batch(made_users(8))
    user = model.users(batch.users, model.items.weight)[0].detach().double().numpy()
    vectors = model.items.weight.detach().double().numpy()
    sums, counts = np.zeros(2), np.zeros(2)
    for n, items in enumerate(batch.items.numpy()):
        width = items.shape[1]
        for c in range(width):
            turned = (c - int(batch.shift[n])) % width
            logits = by_hand(model, user[n], vectors[items[0, turned]], vectors[items[1, c]])
            for side, positive in enumerate((turned == 0, c == 0)):
                if batch.counted[n, side]:
                    sums[side] += np.log1p(np.exp(-logits[side] if positive else logits[side]))
                    counts[side] += 1
    assert float(model.loss(batch)) == pytest.approx(float((sums / counts).sum()), abs=1e-5)


def test_sconet_adds_the_sum_of_absolute_cross_weights():
    batch = made_pair_batch(made_users(8))
    plain, sparse = made_model("conet"), made_model("conet", sparsity=0.3)
    added = sum(np.abs(layer.weight.detach().numpy()).sum() for layer in plain.cross)
    assert float(sparse.loss(batch) - plain.loss(batch)) == pytest.approx(0.3 * added, rel=1e-5)
    sparse.loss(batch).backward()
    plain.loss(batch).backward()
    for one, other in zip(sparse.cross, plain.cross, strict=True):
        assert torch.allclose(one.weight.grad - other.weight.grad, 0.3 * one.weight.sign(), atol=1e-5)


def test_the_labels_of_the_two_towers_are_independent():
    """The source item is a positive as often beside a positive target item as beside a negative."""
    users = made_users(3000, seed=4)
    batch = made_pair_batch(users, negatives=3)
    source_positive = (torch.arange(4) - batch.shift[:, None]) % 4 == 0
    beside_positive, beside_negative = source_positive[:, 0], source_positive[:, 1:]
    n = len(batch.shift)
    error = (0.25 * 0.75 / n) ** 0.5
    assert abs(beside_positive.float().mean() - 0.25) < 4 * error
    assert abs(beside_negative.float().mean() - 0.25) < 4 * error
    assert CATALOGUE.items == 36
