"""Stored sequence models: loaded unchanged, refused if damaged."""

import json

import numpy as np
import pytest
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel, load_model, save_model
from tests.recommenders.made_models import (
    ITEMS,
    KINDS,
    made_model,
    made_sequences,
    model_params,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_model_loads_unchanged(kind, tmp_path):
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model(kind), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {"epoch": 3})
    save_model(stored, model_params(kind), tmp_path / "model")
    back = load_model(tmp_path / "model")
    sequences = made_sequences(10)
    assert torch.equal(represent(stored.model, sequences), represent(back.model, sequences))
    assert (back.vocabulary.item_ids, back.metrics) == (vocabulary.item_ids, {"epoch": 3})
    assert (back.popularity == stored.popularity).all()


@pytest.mark.parametrize("damage", ["weights", "json", "shape"])
def test_a_damaged_model_is_refused(damage, tmp_path):
    folder = tmp_path / "model"
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model("sasrec"), vocabulary, np.zeros(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), folder)
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"damaged")
    elif damage == "json":
        (folder / "model.json").write_text("{")
    else:
        content = files.read_json(folder / "model.json")
        (folder / "model.json").write_text(json.dumps({**content, "items": content["items"][:-1]}))
    with pytest.raises(InputError, match="model"):
        load_model(folder)
