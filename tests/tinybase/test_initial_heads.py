"""Functions of the initial heads, measured as attention of a fresh model on a whole prompt."""

import pytest
import torch

from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.initial_heads import CHOICE_HEADS, OTHER, THEME
from kitrec.tinybase.rehearsal import rehearsal_samples, rehearsal_world
from kitrec.tinybase.tokenizer import choice_opener


class ProbedPrompt:
    """A prompt in a fresh model: tokens, attention [layer][head, query, key], where the answer starts."""

    def __init__(self, miniature, attention, ids, start):
        self.attention, self.start = attention, start
        self.words = [miniature.tokenizer.decode(token) for token in ids]
        self.opener = ids.index(choice_opener(miniature.tokenizer))

    def attended_position(self, layer, head, query):
        return int(self.attention[layer][head, query].argmax())


@pytest.fixture(scope="module")
def probed(miniature):
    model, encoder = miniature.model(), Encoder(miniature.tokenizer)
    model.set_attn_implementation("eager")
    samples = rehearsal_samples(5, 1, miniature.p, rehearsal_world(5, 1, miniature.p), 20)
    prompt, output = next((p, o) for p, o, thinking in samples if thinking and " and " in o)  # two themes shared
    question = encoder.prompt(prompt, thinking=True)
    ids = question + encoder.answer(output, thinking=True)
    with torch.inference_mode():
        attention = model(input_ids=torch.tensor([ids]), output_attentions=True).attentions
    return ProbedPrompt(miniature, [layer[0] for layer in attention], ids, len(question))


@pytest.mark.parametrize(("layer", "head", "distance"), [(0, 0, 1), (0, 2, 2), (0, 3, 4), (1, 1, 6)])
def test_local_heads_attend_their_distance_back(probed, layer, head, distance):
    assert probed.attention[layer][head].diagonal(-distance)[20:].mean() > 0.8


def test_the_end_of_a_candidates_line_attends_to_its_id(probed):
    lines = [k for k, word in enumerate(probed.words) if word == "(ID: "]
    ends = [k - 1 for k, word in enumerate(probed.words) if word.startswith(" | Rating") and k > lines[0]]
    for start, end in zip(lines, ends, strict=True):
        assert probed.attended_position(0, 1, end) == start + 1


def test_a_thought_about_themes_attends_to_the_themes_of_the_history(probed):
    colon = probed.words.index(":", probed.start)
    listed = probed.words.index("(ID: ")
    weights = probed.attention[1][0, colon]
    themes = [k for k in range(listed) if probed.words[k].istitle() and probed.words[k - 1] in (" |", ",")]
    assert weights[themes].sum() > 0.9


def test_a_choice_attends_to_lines_that_share_two_of_the_named_themes(probed):
    named = set(probed.words[probed.opener - 6 : probed.opener : 2]) & {word for word in probed.words if word.istitle()}
    for layer, head in CHOICE_HEADS:
        end = probed.attended_position(layer, head, probed.opener)
        assert len({probed.words[end - 2], probed.words[end]} & named) == 2


def test_equal_words_share_an_embedding_and_furniture_has_a_small_norm(miniature):
    embeddings = miniature.model().model.embed_tokens.weight[:, THEME.start : OTHER.stop]
    of = miniature.tokenizer.convert_tokens_to_ids
    assert torch.cosine_similarity(embeddings[of("Silver")], embeddings[of("ĠSilver")], dim=0) > 0.9
    assert embeddings[of(",")].norm() < 0.6 * embeddings[of("ĠHarbor")].norm()
