"""Groups, routing, and mixtures of adapters against PEFT's own merges."""

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.lora import adapter_weights, copy_adapter
from kitrec.thinkrec.adapter_mixture import StackedAdapters
from kitrec.thinkrec.groups import cluster_users, read_groups, with_centroids, write_groups
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


@pytest.fixture(scope="module")
def model(tiny_base, tokenizer):
    return made_model(tiny_base, tokenizer, adapters=NAMES)


def hidden_states(model, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.decoder(input_ids=ids).last_hidden_state


def test_a_mixture_equals_the_concatenation_merge_of_peft_and_not_the_linear_one(model):
    stack = StackedAdapters(model.llm, NAMES)
    weights = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    ids = torch.randint(300, 1500, (2, 20), generator=torch.Generator().manual_seed(0))
    with stack.weighted(weights):
        mixed = hidden_states(model, ids)
    for row, of_user in enumerate(weights.tolist()):
        for merge in ("cat", "linear"):
            model.llm.add_weighted_adapter(NAMES, of_user, f"{merge}{row}", combination_type=merge)
            model.llm.set_adapter(f"{merge}{row}")
            gap = (hidden_states(model, ids[row : row + 1])[0] - mixed[row]).abs().max().item()
            assert gap < 1e-4 if merge == "cat" else gap > 1e-2, (merge, gap)
            model.llm.delete_adapter(f"{merge}{row}")
    model.llm.set_adapter("general")
    general_only = hidden_states(model, ids)
    with stack.weighted(torch.tensor([[1.0, 0, 0]] * 2)):
        assert torch.allclose(hidden_states(model, ids), general_only, atol=1e-4)
    assert torch.equal(hidden_states(model, ids), general_only)  # afterwards nothing has changed
    folded = stack.folded(weights[0])
    stacked = adapter_weights(model.llm, "stacked")
    kept = {name: weight.detach().clone() for name, weight in stacked.items()}
    with torch.no_grad():
        for name, weight in folded.items():
            stacked[name].copy_(weight)
    model.llm.set_adapter("stacked")
    assert torch.allclose(hidden_states(model, ids[:1])[0], mixed[0], atol=1e-4)
    with torch.no_grad():
        for name, weight in kept.items():
            stacked[name].copy_(weight)


def test_a_copied_adapter_gives_the_same_hidden_states(tiny_base, tokenizer):
    model = made_model(tiny_base, tokenizer, adapters=["general", "one"])
    ids = torch.randint(300, 1500, (1, 20), generator=torch.Generator().manual_seed(0))
    model.llm.set_adapter("general")
    reference = hidden_states(model, ids)
    copy_adapter(model.llm, "general", "one")
    model.llm.set_adapter("one")
    assert torch.equal(hidden_states(model, ids), reference)
