"""Fusion of item metadata into item embeddings: added, concatenated and gated."""

import gc

import numpy as np
import pytest
import torch

from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.metadata_fusion import Fusion
from kitrec.recommenders.models.params import Metadata
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from tests.recommenders.made_models import ITEMS, made_model, made_sequences, model_params


def known() -> ItemFeatures:
    """Return the features of items 0 ... 4 (padding, a, b, c, mask): a has genres 0 and 2, b has 1, c none."""
    return ItemFeatures({"genre": sequences_from_lists([[], [0, 2], [1], [], []])}, {"genre": 3}, None)


def fusion(kind: str, known: ItemFeatures, *features: str) -> Fusion:
    torch.manual_seed(1)
    return Fusion(4, known, Metadata(features=list(features), fusion=kind, dropout=0.0), mask=4).eval()


def test_added_genres_are_the_mean_of_their_embeddings():
    layer, embeddings = fusion("add", known(), "genre"), torch.randn(3, 4)
    table = layer.bags["genre"].weight
    expected = embeddings + torch.stack([(table[0] + table[2]) / 2, table[1], torch.zeros(4)])
    assert torch.allclose(layer(embeddings, torch.tensor([1, 2, 3])), expected, atol=1e-6)


def test_values_are_looked_up_for_the_items_of_the_batch_alone():
    """The means and their gradients are those of a pass over all items."""
    items, rng = 5000, np.random.default_rng(0)
    lists = sequences_from_lists(rng.integers(0, 9, size=rng.integers(0, 4)) for _ in range(items))
    layer = fusion("add", ItemFeatures({"genre": lists}, {"genre": 9}), "genre")
    batch, looked_up = torch.from_numpy(rng.integers(0, items, 50)), []
    layer.bags["genre"].register_forward_pre_hook(lambda _, inputs: looked_up.append(len(inputs[0])))
    ours = layer(torch.zeros(50, 4), batch)
    whole = layer.bags["genre"](torch.from_numpy(lists.items), torch.from_numpy(lists.starts[:-1]))[batch]
    assert torch.equal(ours, whole) and looked_up[0] == lists.take(np.unique(batch.numpy())).starts[-1]
    weights, table = torch.randn(50, 4), layer.bags["genre"].weight
    gradients = [torch.autograd.grad((means * weights).sum(), table)[0] for means in (ours, whole)]
    assert torch.allclose(*gradients, atol=1e-5)


def test_a_gate_weighs_item_and_features_and_returns_its_mean_once():
    features = ItemFeatures(
        known().values, known().counts, np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    )
    layer, embeddings, items = fusion("gate", features, "genre", "title"), torch.randn(2, 4), torch.tensor([1, 2])
    table = layer.bags["genre"].weight
    genre = torch.stack([(table[0] + table[2]) / 2, table[1]])
    title = torch.from_numpy(features.titles[1:3]) @ layer.project.weight.T + layer.project.bias
    gates = (torch.cat([embeddings, genre, title], 1) @ layer.mix.weight.T + layer.mix.bias).softmax(1)
    expected = gates[:, :1] * embeddings + gates[:, 1:2] * genre + gates[:, 2:] * title
    assert torch.allclose(layer(embeddings, items), expected, atol=1e-6)
    mean_gates = layer.mean_gates()
    assert list(mean_gates) == ["item", "genre", "title"] and sum(mean_gates.values()) == pytest.approx(1, abs=1e-6)
    assert mean_gates["genre"] == pytest.approx(gates[:, 1].mean().item(), abs=1e-6)
    assert layer.mean_gates() == {}


def test_concatenation_is_one_linear_map():
    layer, embeddings = fusion("concat", known(), "genre"), torch.randn(1, 4)
    together = torch.cat([embeddings, layer.bags["genre"].weight[1:2]], 1)
    assert torch.allclose(layer(embeddings, torch.tensor([2])), layer.mix(together), atol=1e-6)


def test_a_missing_feature_is_switched_off():
    layer = fusion("gate", known(), "genre", "director", "title")
    assert layer.names == ["item", "genre"]
    assert fusion("gate", ItemFeatures(), "genre").names == ["item"]


@pytest.mark.parametrize("kind", ["add", "concat", "gate"])
def test_a_model_with_metadata_loads_unchanged(kind, tmp_path):
    rng = np.random.default_rng(0)
    lists = sequences_from_lists([[], *(rng.integers(0, 5, size=2) for _ in range(ITEMS)), []])
    features = ItemFeatures({"genre": lists}, {"genre": 5}, rng.normal(size=(ITEMS + 2, 6)).astype(np.float32))
    p = model_params("bert4rec", metadata=Metadata(features=["genre", "title"], fusion=kind, dropout=0.0))
    model = made_model("bert4rec", features=features, metadata=p.metadata)
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(model, vocabulary, np.zeros(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, p, tmp_path / "model", features)
    back = load_model(tmp_path / "model").model
    histories = made_sequences(5).extended(ITEMS + 1)
    from kitrec.recommenders.data.packed_batches import pack

    assert torch.equal(model.represent(pack(histories)), back.represent(pack(histories)))


def test_a_gate_accumulates_a_sum_not_every_position():
    layer = fusion("gate", known(), "genre")
    calls = [(torch.randn(n, 4), torch.randint(1, 4, (n,))) for n in (300, 7)]
    table = layer.bags["genre"].weight
    genres = torch.stack([torch.zeros(4), (table[0] + table[2]) / 2, table[1], torch.zeros(4)])
    parts = [(embeddings, genres[items]) for embeddings, items in calls]
    gates = torch.cat([layer.mix(torch.cat(both, dim=1)).softmax(1) for both in parts])
    for embeddings, items in calls:
        layer(embeddings, items)
    alive = [x.shape for x in gc.get_objects() if type(x) is torch.Tensor and x.shape == (300, 2)]
    assert layer.mean_gates()["genre"] == pytest.approx(gates[:, 1].mean().item(), abs=1e-6)
    assert alive == []
