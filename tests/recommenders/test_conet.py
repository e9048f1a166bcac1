"""CoNet against the paper's cross unit written out with plain matrices."""

import numpy as np
import pytest
import torch

from tests.recommenders.made_domains import CATALOGUE, a_lesson, a_model, asked_of, some_readers


def by_hand(model, reader, source, target):
    """Both towers for single vectors, in numpy and float64."""
    a, b = np.concatenate([reader, source]), np.concatenate([reader, target])
    for own, other, shared in zip(model.source, model.target, model.cross, strict=True):
        w, v, h = (layer.weight.detach().double().numpy() for layer in (own, other, shared))
        a, b = (
            np.maximum(w @ a + h @ b + own.bias.detach().numpy(), 0),
            np.maximum(v @ b + h @ a + other.bias.detach().numpy(), 0),
        )
    return [
        float(out.weight.detach().double().numpy()[0] @ x + out.bias.item())
        for out, x in ((model.source_out, a), (model.target_out, b))
    ]


def test_forward_is_the_cross_unit_of_the_paper():
    model, rng = a_model("conet"), np.random.default_rng(1)
    reader, source, target = (rng.normal(size=(5, *shape, 8)) for shape in ((), (3,), (3,)))
    found = model(*(torch.from_numpy(x).float() for x in (reader, source, target)))
    for n in range(5):
        for c in range(3):
            wanted = by_hand(model, reader[n], source[n, c], target[n, c])
            assert [own[n, c].item() for own in found] == pytest.approx(wanted, abs=1e-5)


def test_gradients_are_those_of_differences():
    model = a_model("conet").double()
    rng = np.random.default_rng(2)
    values = [torch.from_numpy(rng.normal(size=shape)) for shape in ((4, 8), (4, 2, 8), (4, 2, 8))]

    def total():
        source, target = model(*values)
        return (source * 0.7 + target.sigmoid()).sum()

    total().backward()
    for layers in (model.source, model.target, model.cross):
        for layer in layers:
            weight, step = layer.weight, 1e-6
            for place in ((0, 0), (1, 3), (5, 7)):
                with torch.no_grad():
                    weight[place] += step
                    higher = total()
                    weight[place] -= 2 * step
                    lower = total()
                    weight[place] += step
                assert float(weight.grad[place]) == pytest.approx(float(higher - lower) / (2 * step), abs=1e-5)


def test_one_matrix_serves_both_directions():
    """Without the cross matrices the towers know nothing of each other; with one of them both do."""
    model = a_model("conet")
    rng = np.random.default_rng(3)
    reader, source, target, other = (torch.from_numpy(rng.normal(size=(1, 8))).float() for _ in range(4))

    def moved():
        one, two = model(reader, source[:, None], target[:, None]), model(reader, other[:, None], target[:, None])
        three = model(reader, source[:, None], other[:, None])
        return bool((one[1] != two[1]).any()), bool((one[0] != three[0]).any())

    assert moved() == (True, True)
    with torch.no_grad():
        for layer in model.cross:
            layer.weight.zero_()
    assert moved() == (False, False)


def test_scores_are_the_target_towers_with_the_newest_source_item():
    model, readers = a_model("conet"), some_readers(6)
    candidates = np.tile(np.arange(21, 31), (6, 1))
    found = model.candidate_scores(readers, candidates)
    reader = model.readers(asked_of(readers), model.items.weight)[0].detach().double().numpy()
    vectors = model.items.weight.detach().double().numpy()
    for u in range(6):
        newest = [item for item in readers.histories[u].tolist() if item <= 20][-1]
        for c in range(10):
            wanted = by_hand(model, reader[u], vectors[newest], vectors[candidates[u, c]])[1]
            assert found[u, c] == pytest.approx(wanted, abs=1e-5)


def test_candidates_of_both_domains_in_one_list_get_the_scores_of_their_towers():
    model, readers = a_model("conet"), some_readers(4)
    mixed = model.candidate_scores(readers, np.tile([3, 25], (4, 1)))
    alone = [model.candidate_scores(readers, np.full((4, 1), item)) for item in (3, 25)]
    assert np.allclose(mixed, np.concatenate(alone, axis=1), atol=1e-6)


def test_the_loss_is_the_mean_cross_entropy_of_each_domain():
    model, lesson = a_model("conet"), a_lesson(some_readers(8))
    reader = model.readers(lesson.asked, model.items.weight)[0].detach().double().numpy()
    vectors = model.items.weight.detach().double().numpy()
    sums, counts = np.zeros(2), np.zeros(2)
    for n, items in enumerate(lesson.items.numpy()):
        width = items.shape[1]
        for c in range(width):
            turned = (c - int(lesson.shift[n])) % width
            logits = by_hand(model, reader[n], vectors[items[0, turned]], vectors[items[1, c]])
            for side, positive in enumerate((turned == 0, c == 0)):
                if lesson.counted[n, side]:
                    sums[side] += np.log1p(np.exp(-logits[side] if positive else logits[side]))
                    counts[side] += 1
    assert float(model.loss(lesson)) == pytest.approx(float((sums / counts).sum()), abs=1e-5)


def test_sconet_adds_the_sum_of_absolute_cross_weights():
    lesson = a_lesson(some_readers(8))
    plain, sparse = a_model("conet"), a_model("conet", sparsity=0.3)
    added = sum(np.abs(layer.weight.detach().numpy()).sum() for layer in plain.cross)
    assert float(sparse.loss(lesson) - plain.loss(lesson)) == pytest.approx(0.3 * added, rel=1e-5)
    sparse.loss(lesson).backward()
    plain.loss(lesson).backward()
    for one, other in zip(sparse.cross, plain.cross, strict=True):
        assert torch.allclose(one.weight.grad - other.weight.grad, 0.3 * one.weight.sign(), atol=1e-5)


def test_the_other_towers_label_says_nothing_of_the_own_one():
    """A row's partner is a positive as often beside a positive as beside a negative."""
    readers = some_readers(3000, seed=4)
    lesson = a_lesson(readers, negatives=3)
    source_positive = (torch.arange(4) - lesson.shift[:, None]) % 4 == 0
    beside_positive, beside_negative = source_positive[:, 0], source_positive[:, 1:]
    n = len(lesson.shift)
    error = (0.25 * 0.75 / n) ** 0.5
    assert abs(beside_positive.float().mean() - 0.25) < 4 * error
    assert abs(beside_negative.float().mean() - 0.25) < 4 * error
    assert CATALOGUE.items == 36
