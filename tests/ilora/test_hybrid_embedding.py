"""Item tokens: only the items of a batch are looked up and projected, from vectors that are not copied."""

import numpy as np
import torch
from torch import nn

from kitrec.ilora.hybrid_embedding import HybridEmbedding, Projector
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.storage import StoredModel
from tests.recommenders.made_models import ITEMS, made_model


def made_encoder() -> SequenceEncoder:
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    return SequenceEncoder(StoredModel(made_model("sasrec"), vocabulary, np.ones(ITEMS + 1, np.float32), {}))


def test_only_the_items_of_a_batch_are_projected():
    torch.manual_seed(0)
    vectors, text, projector = torch.randn(1000, 5), nn.Embedding(7, 6), Projector(5, 6)
    projected = []
    projector.register_forward_pre_hook(lambda _, inputs: projected.append(inputs[0]))
    embedded = HybridEmbedding(text, vectors, projector)(torch.tensor([[1, 7, 2], [7 + 999, 3, 7]]))
    assert torch.equal(projected[0], vectors[[0, 999, 0]])
    assert torch.equal(embedded[0, 0], text.weight[1]) and torch.equal(embedded[1, 0], projector(vectors[999:])[0])


def test_the_vectors_are_those_of_the_frozen_model_without_a_copy():
    encoder = made_encoder()
    weight = encoder._model.output()[0]
    assert encoder.item_vectors.data_ptr() == weight.data_ptr() and not encoder.item_vectors.requires_grad
    layer = HybridEmbedding(nn.Embedding(7, 6), encoder.item_vectors, Projector(encoder.width, 6))
    assert not list(layer.buffers()) and not [name for name in layer.state_dict() if "item_vectors" in name]
