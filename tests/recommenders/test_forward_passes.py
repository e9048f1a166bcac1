"""Each model's forward pass against torch's own modules with the same weights, or against its formula by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.models.caser import windows_before
from tests.recommenders.made_models import made_model

HISTORY = [3, 9, 4, 7, 1, 2, 8]


def encoder_layer(block: nn.Module, width: int, *, first: bool, activation: str) -> nn.TransformerEncoderLayer:
    """torch's layer with the block's weights."""
    hidden = block.inner.in_features
    layer = nn.TransformerEncoderLayer(
        hidden, 2, width, 0.0, activation, layer_norm_eps=block.norms[0].eps, batch_first=True, norm_first=first
    )
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(block.attention.into.weight)
        layer.self_attn.in_proj_bias.copy_(block.attention.into.bias)
        for mine, theirs in (
            (block.attention.out, layer.self_attn.out_proj),
            (block.inner, layer.linear1),
            (block.outer, layer.linear2),
            (block.norms[0], layer.norm1),
            (block.norms[1], layer.norm2),
        ):
            theirs.weight.copy_(mine.weight)
            theirs.bias.copy_(mine.bias)
    return layer.eval()


def test_sasrec_equals_torchs_pre_norm_encoder_with_a_causal_mask():
    model = made_model("sasrec")
    items = torch.tensor([HISTORY])
    x = 4 * model.items(items) + model.places(torch.arange(6, -1, -1))
    hidden = nn.Transformer.generate_square_subsequent_mask(7)
    for block in model.blocks:
        x = encoder_layer(block, 16, first=True, activation="relu")(x, src_mask=hidden)
    expected = F.layer_norm(x, (16,), model.norm.weight, model.norm.bias, 1e-8)[0]
    assert torch.allclose(model(pack(sequences_from_lists([HISTORY]))), expected, atol=1e-5)


@pytest.mark.parametrize("others", [[], [[5, 6], [1, 2, 3, 4, 5, 6, 7, 8]]])
def test_bert4rec_equals_torchs_bidirectional_post_norm_encoder(others):
    model = made_model("bert4rec")
    items = torch.tensor([HISTORY])
    x = F.layer_norm(
        model.items(items) + model.places(torch.arange(6, -1, -1)), (16,), model.norm.weight, model.norm.bias, 1e-12
    )
    for block in model.blocks:
        x = encoder_layer(block, 64, first=False, activation="gelu")(x)
    found = model(pack(sequences_from_lists([HISTORY, *others])))[:7]
    assert torch.allclose(found, x[0], atol=1e-5)
    projected = F.gelu(found @ model.head.weight.T + model.head.bias)
    assert torch.allclose(model.restored(found), projected, atol=1e-5)


def test_gru4rec_equals_the_recurrence_written_out():
    model = made_model("gru4rec")
    wide, narrow = model.recurrent.weight_ih_l0.chunk(3), model.recurrent.weight_hh_l0.chunk(3)
    shift, turn = model.recurrent.bias_ih_l0.chunk(3), model.recurrent.bias_hh_l0.chunk(3)
    state = torch.zeros(16)
    for item in HISTORY:
        x = model.items.weight[item]
        reset = torch.sigmoid(wide[0] @ x + shift[0] + narrow[0] @ state + turn[0])
        update = torch.sigmoid(wide[1] @ x + shift[1] + narrow[1] @ state + turn[1])
        new = torch.tanh(wide[2] @ x + shift[2] + reset * (narrow[2] @ state + turn[2]))
        state = (1 - update) * new + update * state
    assert torch.allclose(model.represent(pack(sequences_from_lists([HISTORY])))[0], state, atol=1e-5)


def test_caser_equals_its_convolutions_written_out():
    model = made_model("caser")
    image = model.items.weight[torch.tensor(HISTORY[-5:])]  # [L, d]
    wide = []
    for height, filters in enumerate(model.horizontal, start=1):
        for k in range(4):
            values = [
                (image[i : i + height] * filters.weight[k].T).sum() + filters.bias[k] for i in range(5 - height + 1)
            ]
            wide.append(torch.stack(values).relu().max())
    deep = [model.vertical.weight[k] @ image for k in range(2)]
    # the vertical filters' vectors are laid out channel by channel
    deep = torch.stack(deep).T.flatten()
    together = torch.cat([torch.stack(wide), deep])
    expected = F.relu(model.mix.weight @ together + model.mix.bias)
    assert torch.allclose(model.represent(pack(sequences_from_lists([HISTORY])))[0], expected, atol=1e-5)


def test_a_window_stops_at_the_first_item_of_its_user():
    batch = pack(sequences_from_lists([[1, 2, 3], [4, 5]]))
    assert windows_before(batch, torch.tensor([1, 2, 4]), 3).tolist() == [[0, 0, 1], [0, 1, 2], [0, 0, 4]]


def test_attention_stays_within_the_sequences_of_a_packed_batch():
    model = made_model("sasrec")
    lists = [HISTORY[:n] for n in (1, 7, 2, 5, 3)]
    together = model(pack(sequences_from_lists(lists)))
    alone = torch.cat([model(pack(sequences_from_lists([own]))) for own in lists])
    assert torch.allclose(together, alone, atol=1e-6)
    assert np.isclose(len(together), sum(map(len, lists)))
