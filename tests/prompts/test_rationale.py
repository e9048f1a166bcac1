import json

import pytest
from kitrec.prompts.rationale_spans import rationale_in_context

from kitrec.prompts.tokens import Encoder


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("rationale", ["Plain words.", 'With "quotes", a \\ and\na line', "Größe — 品"])
def test_context_and_rationale_are_the_reply_up_to_the_closing_quote(tokenizer, thinking, rationale):
    encoder = Encoder(tokenizer)
    answer = "```json\n" + json.dumps({"item_id": "A", "rationale": rationale}) + "\n```<|im_end|>"
    text = f"<think>\nwhy\n</think>\n\n{answer}" if thinking else answer
    context, own = rationale_in_context(encoder, [5, 6], text, rationale, thinking=thinking)
    assert context[:2] == [5, 6]
    assert tokenizer.decode(context[2:] + own) == text[: text.rindex('"}') + 1]
    assert json.dumps(rationale)[1:-1] in tokenizer.decode(own)
    taught = encoder.answer(text.replace("<|im_end|>", ""), thinking=thinking)
    whole = context[2:] + own
    assert taught[: len(whole) - 1] == whole[:-1]  # the last id closes the quote; in the taught text it may close more


def test_a_reply_that_does_not_spell_it_out_has_none(tokenizer):
    assert rationale_in_context(Encoder(tokenizer), [1], '{"rationale": "cut he', "cut he", thinking=False) is None
