"""What the structured start promises, seen in the attention of a fresh model on a whole prompt."""

import pytest
import torch

from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.initial_heads import CHOOSING, OTHER, THEME
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_world
from kitrec.tinybase.tokenizer import choice_opener


class Read:
    """A prompt of a fresh model: tokens, attention [layer][head, query, key], where the answer starts."""

    def __init__(self, miniature, attention, ids, start):
        self.attention, self.start = attention, start
        self.words = [miniature.tokenizer.decode(token) for token in ids]
        self.opener = ids.index(choice_opener(miniature.tokenizer))

    def looked_at(self, layer, head, query):
        return int(self.attention[layer][head, query].argmax())


@pytest.fixture(scope="module")
def read(miniature):
    model, encoder = miniature.model(), Encoder(miniature.tokenizer)
    model.set_attn_implementation("eager")
    samples = rehearsal_samples(5, 1, miniature.p, rehearsal_world(5, 1, miniature.p), 20)
    prompt, output = next((p, o) for p, o, thinking in samples if thinking and " and " in o)  # two themes shared
    question = encoder.prompt(prompt, thinking=True)
    ids = question + encoder.answer(output, thinking=True)
    with torch.inference_mode():
        attention = model(input_ids=torch.tensor([ids]), output_attentions=True).attentions
    return Read(miniature, [layer[0] for layer in attention], ids, len(question))


@pytest.mark.parametrize(("layer", "head", "distance"), [(0, 0, 1), (0, 2, 2), (0, 3, 4), (1, 1, 6)])
def test_local_heads_look_their_distance_back(read, layer, head, distance):
    assert read.attention[layer][head].diagonal(-distance)[20:].mean() > 0.8


def test_the_end_of_a_candidates_line_looks_at_its_id(read):
    lines = [k for k, word in enumerate(read.words) if word == "(ID: "]
    ends = [k - 1 for k, word in enumerate(read.words) if word.startswith(" | Rating") and k > lines[0]]
    for start, end in zip(lines, ends, strict=True):
        assert read.looked_at(0, 1, end) == start + 1


def test_a_thought_about_themes_looks_at_the_themes_of_the_history(read):
    colon = read.words.index(":", read.start)
    listed = read.words.index("(ID: ")
    weights = read.attention[1][0, colon]
    themes = [k for k in range(listed) if read.words[k].istitle() and read.words[k - 1] in (" |", ",")]
    assert weights[themes].sum() > 0.9


def test_a_choice_looks_at_lines_that_share_two_of_the_named_themes(read):
    named = set(read.words[read.opener - 6 : read.opener : 2]) & {word for word in read.words if word.istitle()}
    for layer, head in CHOOSING:
        end = read.looked_at(layer, head, read.opener)
        assert len({read.words[end - 2], read.words[end]} & named) == 2


def test_equal_titles_share_an_identity_and_furniture_is_short(miniature):
    embeddings = miniature.model().model.embed_tokens.weight[:, THEME.start : OTHER.stop]
    of = miniature.tokenizer.convert_tokens_to_ids
    assert torch.cosine_similarity(embeddings[of("Silver")], embeddings[of("ĠSilver")], dim=0) > 0.9
    assert embeddings[of(",")].norm() < 0.6 * embeddings[of("ĠHarbor")].norm()
