"""Groups, who is routed where, and mixtures of adapters against PEFT's own merges."""

import numpy as np
import pytest
import torch

from kitrec.core.errors import InputError
from kitrec.thinkrec.adapter_mixture import StackedAdapters
from kitrec.thinkrec.groups import cluster_users, read_groups, with_centroids, write_groups
from kitrec.thinkrec.model import adapter_weights, copy_adapter
from kitrec.thinkrec.routing import adapter_choice, route
from kitrec.thinkrec.vector_shards import Vectors
from tests.thinkrec.made_thinkrec import ROUTING, WIDTH, made_model

NAMES = ["general", "one", "two"]


def three_clouds(each: int = 20) -> Vectors:
    rng = np.random.default_rng(0)
    centres = np.eye(3, WIDTH) * 5
    rows = np.concatenate([centre + rng.normal(scale=0.3, size=(each, WIDTH)) for centre in centres])
    return Vectors([f"u{k}" for k in range(3 * each)], rows.astype(np.float32))


def test_clouds_are_found_and_their_centroids_are_means(tmp_path):
    users = three_clouds()
    found = cluster_users(users, 3, seed=1)
    assert sorted(found.sizes) == [20, 20, 20]
    groups = np.array([found.group_of[user] for user in users.ids])
    assert all(len(set(groups[start : start + 20])) == 1 for start in (0, 20, 40))
    assert np.allclose(found.centroids[groups[0]], users.rows[:20].mean(axis=0))
    write_groups(found, tmp_path / "user2group.csv")
    assert read_groups(tmp_path / "user2group.csv") == found.group_of
    again = with_centroids(read_groups(tmp_path / "user2group.csv"), users)
    assert np.allclose(again.centroids, found.centroids)
    assert cluster_users(users, 3, seed=1).group_of == found.group_of


def test_wrong_groups_are_named(tmp_path):
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


def test_the_rule_of_routing_worked_by_hand():
    """Three groups: the bar is 0.5 + 0.6 / 3 = 0.7, that of entropy 0.95 log 3 = 1.0437."""
    assert adapter_choice(np.array([0.71, 0.2, 0.09]), ROUTING) == "group"
    assert adapter_choice(np.array([0.69, 0.2, 0.11]), ROUTING) == "mixture"
    assert adapter_choice(np.array([0.34, 0.33, 0.33]), ROUTING) == "general"
    assert adapter_choice(np.array([0.50, 0.30, 0.20]), ROUTING) == "mixture"  # 1.0297
    assert adapter_choice(np.array([0.45, 0.30, 0.25]), ROUTING) == "general"  # 1.0671
    assert adapter_choice(np.array([1.0]), ROUTING) == "general"


def test_users_go_where_their_vector_points():
    centroids = with_centroids({"a": 0, "b": 1, "c": 2}, Vectors(["a", "b", "c"], np.eye(3, dtype=np.float32)))
    close = np.array([[2, 0.1, 0], [1, 1, 1], [1.0, 0.9, 0.2]], dtype=np.float32)
    found = route(
        ["near", "amid", "between", "stranger"], Vectors(["near", "amid", "between"], close), centroids, ROUTING
    )
    assert found.answered_by == ["group", "general", "mixture", "general"]
    assert found.weights[0].tolist() == [0, 1, 0, 0] and found.weights[1].tolist() == [1, 0, 0, 0]
    cosine = close[2] / np.linalg.norm(close[2])
    wanted = np.exp(cosine / 0.1) / np.exp(cosine / 0.1).sum()
    assert np.allclose(found.weights[2], [0, *wanted]) and np.allclose(found.weights.sum(axis=1), 1)
    assert found.weights[:, 0].mean() == pytest.approx(0.5)  # the general adapter's share
    assert (found.affinities.sum(axis=1) > 0).tolist() == [True, True, True, False]


@pytest.fixture(scope="module")
def model(tiny_base, tokenizer):
    return made_model(tiny_base, tokenizer, adapters=NAMES)


def hidden(model, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.decoder(input_ids=ids).last_hidden_state


def test_a_mixture_is_peft_s_merge_by_concatenation_and_no_linear_one(model):
    stack = StackedAdapters(model.llm, NAMES)
    weights = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    ids = torch.randint(300, 1500, (2, 20), generator=torch.Generator().manual_seed(0))
    with stack.weighted(weights):
        mixed = hidden(model, ids)
    for row, own in enumerate(weights.tolist()):
        for how in ("cat", "linear"):
            model.llm.add_weighted_adapter(NAMES, own, f"{how}{row}", combination_type=how)
            model.llm.set_adapter(f"{how}{row}")
            gap = (hidden(model, ids[row : row + 1])[0] - mixed[row]).abs().max().item()
            assert gap < 1e-4 if how == "cat" else gap > 1e-2, (how, gap)
            model.llm.delete_adapter(f"{how}{row}")
    model.llm.set_adapter("general")
    alone = hidden(model, ids)
    with stack.weighted(torch.tensor([[1.0, 0, 0]] * 2)):
        assert torch.allclose(hidden(model, ids), alone, atol=1e-4)
    assert torch.equal(hidden(model, ids), alone)  # afterwards it is what it was
    folded = stack.folded(weights[0])
    stacked = adapter_weights(model.llm, "stacked")
    kept = {name: own.detach().clone() for name, own in stacked.items()}
    with torch.no_grad():
        for name, own in folded.items():
            stacked[name].copy_(own)
    model.llm.set_adapter("stacked")
    assert torch.allclose(hidden(model, ids[:1])[0], mixed[0], atol=1e-4)
    with torch.no_grad():
        for name, own in kept.items():
            stacked[name].copy_(own)


def test_a_group_starts_as_the_general_adapter_is(tiny_base, tokenizer):
    model = made_model(tiny_base, tokenizer, adapters=["general", "one"])
    ids = torch.randint(300, 1500, (1, 20), generator=torch.Generator().manual_seed(0))
    model.llm.set_adapter("general")
    truth = hidden(model, ids)
    copy_adapter(model.llm, "general", "one")
    model.llm.set_adapter("one")
    assert torch.equal(hidden(model, ids), truth)
