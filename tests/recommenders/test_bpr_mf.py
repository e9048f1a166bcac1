"""BPR-MF: the published gradient, without autograd."""

import numpy as np
import pytest
import torch

from tests.recommenders.made_domains import made_model, made_pair_batch, made_users


def test_gradients_equal_the_published_formulas():
    """dL/dp_u = -s(-x)(q_i - q_j), dL/dq_i = -s(-x) p_u, dL/dq_j = s(-x) p_u, with x = r_ui - r_uj."""
    users = made_users(6, indexed=True)
    model, batch = made_model("bpr_mf", users=6, negatives=1), made_pair_batch(users, negatives=1)
    model.loss(batch).backward()
    user_vectors = model.users.tables[0].weight.detach().double().numpy()
    items, bias = (table.weight.detach().double().numpy() for table in (model.items, model.bias))
    expected = [np.zeros_like(user_vectors), np.zeros_like(items), np.zeros_like(bias)]
    counts = batch.counted.sum(0).tolist()
    for n in range(len(batch.counted)):
        u = int(batch.users.indices[n]) + 1
        for side in (0, 1):
            if not batch.counted[n, side]:
                continue
            i, j = batch.items[n, side].tolist()
            x = user_vectors[u] @ (items[i] - items[j]) + bias[i, 0] - bias[j, 0]
            pull = 1 / (1 + np.exp(x)) / counts[side]
            expected[0][u] -= pull * (items[i] - items[j])
            expected[1][i] -= pull * user_vectors[u]
            expected[1][j] += pull * user_vectors[u]
            expected[2][i] -= pull
            expected[2][j] += pull
    for table, slope in zip((model.users.tables[0], model.items, model.bias), expected, strict=True):
        assert np.allclose(table.weight.grad.to_dense().numpy(), slope, atol=1e-6)


def test_a_user_vector_of_the_history_form_is_the_mean_of_their_items():
    model, users = made_model("bpr_mf"), made_users(3)
    first, second = (table.weight.detach().double().numpy() for table in model.users.maps)
    vectors, items, bias = (
        table.weight.detach().double().numpy() for table in (model.history_items, model.items, model.bias)
    )
    scores = model.candidate_scores(users, np.tile([22, 30], (3, 1)))
    for u in range(3):
        history = users.histories[u]
        user = first @ vectors[history[history <= 20]].mean(0) + second @ vectors[history[history > 20]].mean(0)
        for c, item in enumerate((22, 30)):
            assert scores[u, c] == pytest.approx(user @ items[item] + bias[item, 0], abs=1e-5)


def test_embeddings_that_were_not_looked_up_stay_unchanged():
    from kitrec.recommenders.row_adamw import RowAdamW

    model = made_model("bpr_mf").train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = RowAdamW(model, 1e-2, 1e-2)
    batch = made_pair_batch(made_users(1), negatives=1)
    model.loss(batch).backward()
    optimizer.step()
    touched = set(batch.items.flatten().tolist()) - {0}
    moved = set(torch.nonzero((model.items.weight != before["items.weight"]).any(1))[:, 0].tolist())
    assert moved == touched and len(touched) < 30


def test_row_adamw_equals_adamw_if_every_row_is_looked_up():
    """Dense gradients give torch's AdamW, and so do sparse ones that reach every row."""
    from kitrec.recommenders.row_adamw import RowAdamW

    rng, weights = np.random.default_rng(0), []
    slopes = [torch.from_numpy(rng.normal(size=(6, 3))) for _ in range(5)]
    for sparse, ours in ((False, True), (True, True), (False, False)):
        table = torch.nn.Embedding(6, 3, sparse=sparse, _weight=torch.ones(6, 3, dtype=torch.float64))
        adamw = torch.optim.AdamW(table.parameters(), lr=0.1, weight_decay=0.2)
        optimizer = RowAdamW(table, 0.1, 0.2) if ours else adamw
        for slope in slopes:
            optimizer.zero_grad()
            (table(torch.arange(6)) * slope).sum().backward()
            optimizer.step()
        weights.append(table.weight.detach().clone())
    assert torch.allclose(weights[0], weights[2], atol=1e-12) and torch.allclose(weights[1], weights[2], atol=1e-6)
