"""DTCDR: the combinations worked by hand, both kinds of rating, the weighted joint loss."""

import numpy as np
import pytest
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models.dtcdr import DMF, NeuMF, combine
from kitrec.recommenders.models.registry import build_cross_domain_model
from kitrec.recommenders.row_adamw import RowAdamW
from tests.recommenders.made_domains import CATALOGUE, made_batch, made_model, made_pair_batch, made_users, model_params

ONE, OTHER = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[-1.0, 4.0, 5.0]])
YES, NO = torch.tensor([True]), torch.tensor([False])


@pytest.mark.parametrize(
    ("how", "present", "expected"),
    [
        ("concat", (YES, YES), [1, -2, 3, -1, 4, 5]),
        ("concat", (YES, NO), [1, -2, 3, 0, 0, 0]),
        ("max", (YES, YES), [1, 4, 5]),
        ("max", (YES, NO), [1, -2, 3]),
        ("max", (NO, NO), [0, 0, 0]),
        ("mean", (YES, YES), [0, 1, 4]),
        ("mean", (NO, YES), [-1, 4, 5]),
        ("mean", (NO, NO), [0, 0, 0]),
    ],
)
def test_combinations_equal_values_computed_by_hand(how, present, expected):
    assert combine(how, [ONE, OTHER], list(present)).tolist() == [expected]


def test_neumf_equals_its_formula_in_numpy():
    torch.manual_seed(0)
    tower, rng = NeuMF(4, 4, [5, 3]), np.random.default_rng(0)
    user, item = rng.normal(size=(2, 4))
    weights = {name: parameter.detach().double().numpy() for name, parameter in tower.named_parameters()}
    hidden = np.concatenate([user, item])
    for layer in ("mlp.0", "mlp.2"):
        hidden = np.maximum(weights[f"{layer}.weight"] @ hidden + weights[f"{layer}.bias"], 0)
    both = np.concatenate([(weights["project.weight"] @ user) * item, hidden])
    expected = weights["out.weight"][0] @ both + weights["out.bias"][0]
    logit = tower(torch.from_numpy(user).float(), torch.from_numpy(item).float())
    assert logit.item() == pytest.approx(expected, abs=1e-5)


def test_dmf_is_the_cosine_of_both_towers():
    torch.manual_seed(0)
    tower, rng = DMF(4, 4, [5]), np.random.default_rng(1)
    user, item = rng.normal(size=(2, 50, 4))
    sides = []
    for values, layer in ((user, tower.user[0]), (item, tower.item[0])):
        sides.append(values @ layer.weight.detach().double().numpy().T + layer.bias.detach().numpy())
    lengths = np.linalg.norm(sides[0], axis=1) * np.linalg.norm(sides[1], axis=1)
    cosine = (sides[0] * sides[1]).sum(1) / lengths
    scores = tower(torch.from_numpy(user).float(), torch.from_numpy(item).float()).sigmoid().detach().numpy()
    assert np.allclose(scores, (1 + cosine) / 2, atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_target_weight_weighs_the_losses_of_the_domains(weight):
    batch = made_pair_batch(made_users(8))
    losses = [made_model("dtcdr", target_weight=w).loss(batch).item() for w in (weight, 0.0, 1.0)]
    assert losses[0] == pytest.approx((1 - weight) * losses[1] + weight * losses[2], rel=1e-5)


def test_a_target_weight_of_one_trains_the_target_tower_only():
    model = made_model("dtcdr", target_weight=1.0)
    model.loss(made_pair_batch(made_users(8))).backward()
    slopes = [
        max(float(parameter.grad.abs().max()) for parameter in tower.parameters())
        for tower in (model.source, model.target)
    ]
    assert slopes[0] == 0.0 and slopes[1] > 0


@pytest.mark.parametrize("rating", ["neumf", "dmf"])
def test_the_loss_falls_below_that_of_a_constant_score(rating):
    """The best constant score is 1/(1 + k); a model trained on a handful of users is far below its loss."""
    torch.manual_seed(0)
    model = build_cross_domain_model(model_params("dtcdr", rating=rating), CATALOGUE)
    batch, optimizer = made_pair_batch(made_users(10)), RowAdamW(model, 0.03, 0.0)
    for _ in range(60):
        optimizer.zero_grad()
        value = model.loss(batch)
        value.backward()
        optimizer.step()
    constant = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert float(value) < 0.6 * constant


@pytest.mark.parametrize("combination", ["concat", "max", "mean"])
def test_titles_change_user_and_item_vectors(combination):
    rng = np.random.default_rng(0)
    titles = rng.normal(size=(CATALOGUE.items + 1, 5)).astype(np.float32)
    p = model_params("dtcdr", titles=True, combination=combination)
    torch.manual_seed(0)
    model, users = build_cross_domain_model(p, CATALOGUE, titles=titles).eval(), made_users(4)
    candidates = np.tile(np.arange(21, 31), (4, 1))
    before = model.candidate_scores(users, candidates)
    with torch.no_grad():
        model.get_buffer("titles")[1:21] = 0  # of the books: only readers change
    batch = made_batch(users)
    assert batch.has(0).all() and not np.allclose(before, model.candidate_scores(users, candidates), atol=1e-6)
    with pytest.raises(ValueError, match="titles"):
        build_cross_domain_model(p, CATALOGUE)


def test_an_item_without_a_title_combines_no_text():
    """A vector of zeros would halve a mean."""
    rng = np.random.default_rng(0)
    titles = rng.normal(size=(CATALOGUE.items + 1, 5)).astype(np.float32)
    titles[[0, 3, 25]] = 0
    torch.manual_seed(0)
    model = build_cross_domain_model(
        model_params("dtcdr", titles=True, combination="mean"), CATALOGUE, titles=titles
    ).eval()
    items = torch.tensor([25, 26])
    plain, text = model.items(items), model.text(torch.from_numpy(titles)[items])
    found = model.embed_items(items)
    assert torch.allclose(found[0], plain[0]) and torch.allclose(found[1], (plain[1] + text[1]) / 2)
    batches = [made_batch(UserHistories(sequences_from_lists([history]))) for history in ([2, 3], [2])]
    numbers = [model.users(batch, model.items.weight)[0] for batch in batches]
    texts = [2 * model.embed_users(batch) - number for batch, number in zip(batches, numbers, strict=True)]
    assert torch.allclose(texts[0], texts[1], atol=1e-6)  # item 3 has no part in the mean
