"""The style a `prompt` section asks for, and its labels: one token each, so that one position ranks all candidates.

A label stands before a candidate's line (`AB: (ID: …) …`) and first in the answer (`{"label": "AB", …`)."""

from collections.abc import Sequence
from itertools import product
from string import ascii_uppercase

from kitrec.core.errors import InputError
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style, label_mark
from kitrec.prompts.tokens import END_THINK, Encoder

LABEL, AFTER_LABEL = '{"label": "', '", "rank": 1'


def style_of(prompt: Prompt, encoder: Encoder, *, thinking: bool, answer_items: int = 1) -> Style:
    """How prompts are written for a method, in training and in serving."""
    labels = single_token_labels(encoder) if prompt.labels else ()
    return Style(thinking=thinking, answer_items=answer_items, summaries=prompt.summaries, labels=labels)


def single_token_labels(encoder: Encoder) -> tuple[str, ...]:
    """One and two capital letters that are the same single token in a candidate's line and in an answer."""
    before, after = encoder.plain(LABEL), encoder.plain(AFTER_LABEL)
    found = []
    for letters in ("".join(pair) for pair in product(["", *ascii_uppercase], ascii_uppercase)):
        line, answer = encoder.plain(label_mark(letters)), encoder.plain(LABEL + letters + AFTER_LABEL)
        if answer == [*before, line[0], *after] and encoder.plain(letters) == line[:1]:
            found.append(letters)
    return tuple(found)


def as_asked(output: str, style: Style, shown: Sequence[str], item: str) -> str:
    """An output in the style of its prompt: the label of `item` stands first in the answer, where there are labels."""
    if not style.labels:
        return output
    thought, closed, answer = output.rpartition(END_THINK)
    before, opened, fields = answer.partition("{")
    if not opened:
        raise InputError("prompt.labels: an output without a JSON object cannot name a label")
    label = style.labels[list(shown).index(item)]
    return f'{thought}{closed}{before}{LABEL}{label}", {fields.lstrip()}'
