"""Groups, routing, and mixtures of adapters against PEFT's own merges."""

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.core.params import parse
from kitrec.llm.finetuning.lora import adapter_weights, copy_adapter
from kitrec.thinkrec.adapter_mixture import StackedAdapters, mixtures
from kitrec.thinkrec.groups import cluster_users, read_groups, with_centroids, write_groups
from kitrec.thinkrec.params import RoutingRule
from kitrec.thinkrec.routing import adapter_choice, route
from kitrec.thinkrec.vector_shards import Vectors
from tests.thinkrec.made_thinkrec import ROUTING, WIDTH, made_model

NAMES = ["general", "one", "two"]


def three_clouds(each: int = 20) -> Vectors:
    rng = np.random.default_rng(0)
    centres = np.eye(3, WIDTH) * 5
    rows = np.concatenate([centre + rng.normal(scale=0.3, size=(each, WIDTH)) for centre in centres])
    return Vectors([f"u{k}" for k in range(3 * each)], rows.astype(np.float32))


def test_clusters_are_recovered_and_centroids_are_means(tmp_path):
    users = three_clouds()
    result = cluster_users(users, 3, seed=1)
    assert sorted(result.sizes) == [20, 20, 20]
    groups = np.array([result.group_of[user] for user in users.ids])
    assert all(len(set(groups[start : start + 20])) == 1 for start in (0, 20, 40))
    assert np.allclose(result.centroids[groups[0]], users.rows[:20].mean(axis=0))
    write_groups(result, tmp_path / "user2group.csv")
    assert read_groups(tmp_path / "user2group.csv") == result.group_of
    again = with_centroids(read_groups(tmp_path / "user2group.csv"), users)
    assert np.allclose(again.centroids, result.centroids)
    assert cluster_users(users, 3, seed=1).group_of == result.group_of


def test_malformed_groups_are_refused_by_name(tmp_path):
    path, users = tmp_path / "user2group.csv", three_clouds()
    path.write_text("user_id,group_id\nu1,0\nu2,1\nu1,2\n")
    with pytest.raises(InputError, match="line 4: user u1 is in groups 0 and 2"):
        read_groups(path)
    path.write_text("user_id,group_id\nu1,first\n")
    with pytest.raises(InputError, match="line 2"):
        read_groups(path)
    path.write_text("user,group\nu1,0\n")
    with pytest.raises(InputError, match="columns must be user_id, group_id"):
        read_groups(path)
    path.write_text("user_id,group_id\nu1,9999999999\n")
    with pytest.raises(InputError, match="group 9999999999 of 1 users"):
        read_groups(path)
    with pytest.raises(InputError, match="group 1 is empty"):
        with_centroids({"u1": 0, "u2": 2}, users)
    with pytest.raises(InputError, match="the first is stranger"):
        with_centroids({"u1": 0, "stranger": 0}, users)
    with pytest.raises(InputError, match="would leave an empty one"):
        cluster_users(Vectors(["a", "b"], np.ones((2, 3), np.float32)), 2, seed=0)


def test_the_routing_rule_equals_cases_worked_by_hand():
    """Three groups: the bar is 0.5 + 0.6 / 3 = 0.7, that of entropy 0.95 log 3 = 1.0437."""
    assert adapter_choice(np.array([0.71, 0.2, 0.09]), ROUTING) == "group"
    assert adapter_choice(np.array([0.69, 0.2, 0.11]), ROUTING) == "mixture"
    assert adapter_choice(np.array([0.34, 0.33, 0.33]), ROUTING) == "general"
    assert adapter_choice(np.array([0.50, 0.30, 0.20]), ROUTING) == "mixture"  # 1.0297
    assert adapter_choice(np.array([0.45, 0.30, 0.25]), ROUTING) == "general"  # 1.0671
    assert adapter_choice(np.array([1.0]), ROUTING) == "general"


def test_users_are_routed_by_their_vectors():
    centroids = with_centroids({"a": 0, "b": 1, "c": 2}, Vectors(["a", "b", "c"], np.eye(3, dtype=np.float32)))
    close = np.array([[2, 0.1, 0], [1, 1, 1], [1.0, 0.9, 0.2]], dtype=np.float32)
    result = route(
        ["near", "amid", "between", "stranger"], Vectors(["near", "amid", "between"], close), centroids, ROUTING
    )
    assert result.answered_by == ["group", "general", "mixture", "general"]
    assert result.weights[0].tolist() == [0, 1, 0, 0] and result.weights[1].tolist() == [1, 0, 0, 0]
    cosine = close[2] / np.linalg.norm(close[2])
    expected = np.exp(cosine / 0.1) / np.exp(cosine / 0.1).sum()
    assert np.allclose(result.weights[2], [0, *expected]) and np.allclose(result.weights.sum(axis=1), 1)
    assert result.weights[:, 0].mean() == pytest.approx(0.5)  # the general adapter's share
    assert (result.affinities.sum(axis=1) > 0).tolist() == [True, True, True, False]


def hidden_states(model, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.decoder(input_ids=ids).last_hidden_state


def test_mixtures_equal_cases_worked_by_hand():
    """Weights 1/4 and 9/16, a third adapter without one: roots 1/2 and 3/4."""
    weights = np.array([[0.25, 0.5625, 0.0], [0.0, 0.0, 1.0]])
    expected = {
        "concatenation": [[0.25, 0.0, 0.0], [0.0, 0.5625, 0.0], [0.0, 0.0, 0.0]],
        "linear": [[0.25, 0.375, 0.0], [0.375, 0.5625, 0.0], [0.0, 0.0, 0.0]],
    }
    for merge, matrix in expected.items():
        assert mixtures(weights, merge).tolist() == [matrix, np.diag([0.0, 0.0, 1.0]).tolist()]


@pytest.mark.parametrize("merge", ["concatenation", "linear"])
def test_mixed_rows_equal_a_layer_worked_by_hand(tiny_base, tokenizer, merge):
    """One layer, its products of A and B written out: s sum_g w_g B_g A_g x, or s (sum sqrt(w) B) (sum sqrt(w) A) x."""
    model = made_model(tiny_base, tokenizer, adapters=NAMES)
    stack, weights = StackedAdapters(model.llm, NAMES), torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    layer = model.llm.get_submodule("base_model.model.model.layers.1.mlp.up_proj")
    x = torch.randn(2, 3, layer.in_features, generator=torch.Generator().manual_seed(0))
    inner, outer = ([getattr(layer, part)[name].weight for name in NAMES] for part in ("lora_A", "lora_B"))
    scale = 8 / 4  # alpha of rank
    for row, of_user in enumerate(weights):
        if merge == "concatenation":
            update = sum(w * b @ a for w, a, b in zip(of_user, inner, outer, strict=True))
        else:
            roots = of_user.sqrt()
            update = sum(w * b for w, b in zip(roots, outer, strict=True)) @ sum(
                w * a for w, a in zip(roots, inner, strict=True)
            )
        expected = layer.base_layer(x[row]) + scale * x[row] @ update.T
        with torch.no_grad(), stack.mixed(torch.from_numpy(mixtures(weights.numpy(), merge))):
            assert torch.allclose(layer(x)[row], expected, atol=1e-5)


@pytest.mark.parametrize(("merge", "of_peft"), [("concatenation", "cat"), ("linear", "linear")])
def test_a_mixture_equals_the_merge_of_peft_and_not_the_other_one(tiny_base, tokenizer, merge, of_peft):
    model = made_model(tiny_base, tokenizer, adapters=NAMES)
    stack = StackedAdapters(model.llm, NAMES)
    weights = np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]], dtype=np.float32)
    matrices = torch.from_numpy(mixtures(weights, merge))
    ids = torch.randint(300, 1500, (2, 20), generator=torch.Generator().manual_seed(0))
    with stack.mixed(matrices):
        mixed = hidden_states(model, ids)
    for row, of_user in enumerate(weights.tolist()):
        for combination in ("cat", "linear"):
            model.llm.add_weighted_adapter(NAMES, of_user, f"{combination}{row}", combination_type=combination)
            model.llm.set_adapter(f"{combination}{row}")
            gap = (hidden_states(model, ids[row : row + 1])[0] - mixed[row]).abs().max().item()
            assert gap < 1e-4 if combination == of_peft else gap > 1e-2, (combination, gap)
            model.llm.delete_adapter(f"{combination}{row}")
    model.llm.set_adapter("general")
    general_only = hidden_states(model, ids)
    with stack.mixed(torch.from_numpy(mixtures(np.array([[1.0, 0, 0]] * 2, dtype=np.float32), merge))):
        assert torch.allclose(hidden_states(model, ids), general_only, atol=1e-4)  # a single weight: no difference
    assert torch.equal(hidden_states(model, ids), general_only)  # afterwards nothing has changed
    folded = stack.folded(matrices[0])
    with torch.no_grad():
        for name, weight in adapter_weights(model.llm, "stacked").items():
            weight.copy_(folded[name])
    model.llm.set_adapter("stacked")
    assert torch.allclose(hidden_states(model, ids[:1])[0], mixed[0], atol=1e-4)


def test_equal_adapters_are_themselves_by_concatenation_and_too_long_by_the_linear_merge(tiny_base, tokenizer):
    """Weights 1/4, 1/4, 1/2: their roots add up to 1.7071, so the linear merge has 2.9142 times the update."""
    model = made_model(tiny_base, tokenizer, adapters=NAMES)
    for name in NAMES[1:]:
        copy_adapter(model.llm, "general", name)
    stack, weights = StackedAdapters(model.llm, NAMES), np.array([[0.25, 0.25, 0.5]], dtype=np.float32)
    layer = model.llm.get_submodule("base_model.model.model.layers.1.mlp.up_proj")
    x = torch.randn(1, 3, layer.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.llm.set_adapter("general")
        without, update = layer.base_layer(x), layer(x) - layer.base_layer(x)
        for merge, times in (("concatenation", 1.0), ("linear", (0.5 + 0.5 + 0.5**0.5) ** 2)):
            with stack.mixed(torch.from_numpy(mixtures(weights, merge))):
                assert torch.allclose(layer(x) - without, times * update, atol=1e-5), merge


def test_any_other_merge_is_refused_with_the_two_that_exist():
    problems: list[str] = []
    rule = {"temperature": 0.1, "top_base": 0.5, "top_slope": 0.6, "entropy": 0.95}
    assert parse(RoutingRule, "routing", {"routing": rule | {"merge": "svd"}}, problems) is None
    assert "routing.merge" in problems[0] and "concatenation" in problems[0] and "linear" in problems[0]
    assert parse(RoutingRule, "routing", {"routing": rule | {"merge": "linear"}}, []) is not None


def test_a_copied_adapter_gives_the_same_hidden_states(tiny_base, tokenizer):
    model = made_model(tiny_base, tokenizer, adapters=["general", "one"])
    ids = torch.randint(300, 1500, (1, 20), generator=torch.Generator().manual_seed(0))
    model.llm.set_adapter("general")
    reference = hidden_states(model, ids)
    copy_adapter(model.llm, "general", "one")
    model.llm.set_adapter("one")
    assert torch.equal(hidden_states(model, ids), reference)
