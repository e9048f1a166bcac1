"""The embedding model: towers against a loop, titles read once, a planted pairing learned."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.llm.base.layers import keep_first_layers
from kitrec.titles.embedding import Towers, title_vectors
from kitrec.titles.embedding_model import EmbeddingModel
from kitrec.titles.storage import load_method
from kitrec.titles.train import planned_rounds, train_method
from tests.titles.made_titles import (
    hits,
    ignore,
    made_embedding,
    made_inputs,
    made_items,
    made_training,
    pinned,
)

HEADS = made_training(updates=60, validate_every=20, batch_size=20, learning_rate=5e-3)


def made_towers() -> Towers:
    torch.manual_seed(1)
    towers = Towers(6, 4, 0.5).eval()
    for parameter in towers.parameters():
        torch.nn.init.normal_(parameter)
    towers.centre.copy_(torch.randn(6))
    return towers


def test_users_and_items_are_those_of_a_loop():
    towers = made_towers()
    titles, shown = torch.randn(2, 3, 6), torch.tensor([[True, True, True], [False, True, True]])
    is_target = torch.tensor([[False, True, False], [False, True, True]])
    users = towers.users(titles.view(6, 6), is_target.view(6), torch.arange(6).view(2, 3), shown)
    for b in range(2):
        entries = [towers.norm(title - towers.centre) for title in titles[b]]
        domains = [int(target) for target in is_target[b]]
        weights = [
            math.exp(float((towers.queries[d] @ e).detach())) if seen else 0.0
            for e, d, seen in zip(entries, domains, shown[b], strict=True)
        ]
        values = [towers.history[d](e) for e, d in zip(entries, domains, strict=True)]
        summed = sum(weight / sum(weights) * value for weight, value in zip(weights, values, strict=True))
        assert torch.allclose(users[b], summed / summed.norm(), atol=1e-5)
    item = towers.item(towers.norm(titles[0, 0] - towers.centre))
    assert torch.allclose(towers.items(titles[0])[0], item / item.norm(), atol=1e-6)


def test_title_vectors_are_the_means_of_separate_forward_passes(tiny_base, monkeypatch):
    llm = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    titles = [[5, 6, 7, 8], [9], [], [10, 11], [12, 13, 14]]
    monkeypatch.setattr("kitrec.titles.embedding.BATCH_TOKENS", 6)  # several batches
    with torch.no_grad():
        vectors = title_vectors(llm, titles)
        for vector, title in zip(vectors, titles, strict=True):
            alone = llm.get_decoder()(input_ids=torch.tensor([title or [0]])).last_hidden_state[0]
            assert torch.allclose(vector, alone.mean(0), atol=1e-4)


def test_the_first_layers_end_in_their_hidden_states(tiny_base):
    llm, whole = (AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32) for _ in "ab")
    keep_first_layers(llm, 1)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        expected = whole.get_decoder()(input_ids=ids, output_hidden_states=True).hidden_states[1]
        assert torch.allclose(llm.get_decoder()(input_ids=ids).last_hidden_state, expected, atol=1e-6)
    with pytest.raises(InputError, match="layers: qwen3 has 1, not 2"):
        keep_first_layers(llm, 2)


def test_a_title_is_read_once_wherever_it_stands():
    read = []

    def vectors_of(numbers: np.ndarray) -> torch.Tensor:
        read.append(numbers.tolist())
        return torch.arange(10.0)[torch.from_numpy(numbers)][:, None] * torch.ones(6)

    catalogue = SimpleNamespace(is_target=np.arange(10) > 5)
    model = EmbeddingModel(None, made_towers(), catalogue)  # type: ignore[arg-type]
    users, items = model.vectors(np.array([[0, 2, 7], [2, 3, 7]]), np.array([7, 8, 8]), vectors_of)
    assert read == [[0, 2, 3, 7, 8]]
    assert users.shape == (2, 4) and torch.equal(items[1], items[2])


def test_training_finds_what_belongs_together(tiny_base, tmp_path):
    """Words of books and films have nothing in common, so nothing but the users can tell which belong together."""
    p = made_embedding(HEADS, made_training(updates=0, validate_every=1))
    trained = train_method(p, made_inputs(tiny_base, tmp_path / "work", 60), ignore, tmp_path / "model")
    assert planned_rounds(p) == len(trained.rows) == 3 and trained.metrics["users"] == 60
    model = load_method(tmp_path / "model", pinned(tiny_base), made_items(), KITREC)
    assert hits(model, 80) > 0.7  # chance: .25, with a standard error of .05
