"""What the structured start promises, seen in the attention of a fresh model."""

import pytest
import torch

from kitrec.tinybase.start import OFFSETS


@pytest.fixture(scope="module")
def attention(miniature):
    """Attention of a fresh model on a text of words that is written twice, [layer][head, query, key]."""
    model = miniature.model()
    model.set_attn_implementation("eager")
    words = torch.randperm(len(miniature.tokenizer) - 300, generator=torch.Generator().manual_seed(0))[:60] + 300
    text = torch.cat([words, words])[None]
    with torch.inference_mode():
        return [layer[0] for layer in model(input_ids=text, output_attentions=True).attentions]


@pytest.mark.parametrize("layer", range(len(OFFSETS)))
def test_local_heads_look_their_distance_back(attention, layer):
    for head, distance in enumerate(OFFSETS[layer]):
        looked = attention[layer][head].diagonal(-distance)[20:]
        assert looked.mean() > 0.5, (layer, head)


def test_matching_heads_find_the_same_words_again(attention):
    """In the second copy, most matching heads look at the same place of the first copy more than anywhere far off."""
    for layer in attention[len(OFFSETS) :]:
        second = layer[:, 70:, :60]
        assert (second.argmax(-1) == torch.arange(10, 60)).float().mean() > 0.9


def test_matching_heads_do_not_only_look_at_themselves(attention):
    own = attention[len(OFFSETS)].diagonal(dim1=-2, dim2=-1)[:, 70:]
    assert own.mean() < 0.3


def test_furniture_is_shorter_than_words(miniature):
    embeddings = miniature.model().model.embed_tokens.weight[:, 1:].norm(dim=1)
    tokens = miniature.tokenizer.convert_tokens_to_ids
    assert embeddings[tokens(",")] < 0.5 * embeddings[tokens("ĠHarbor")]
