"""The style of a `prompt` section, and its labels: one token each, so that one position ranks all candidates.

A label stands before a candidate's line (`AB: (ID: …) …`) and first in the answer (`{"label": "AB", …`)."""

from collections.abc import Mapping, Sequence
from itertools import product
from string import ascii_uppercase
from typing import Any

from kitrec.core.domains import KITREC, Domains
from kitrec.core.errors import InputError
from kitrec.prompts.params import Prompt
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, label_mark
from kitrec.prompts.thought_marks import END_THINK
from kitrec.prompts.title_first import with_title_first
from kitrec.prompts.tokens import Encoder

LABEL, AFTER_LABEL = '{"label": "', '", "rank": 1'


def prompt_style(
    prompt: Prompt, encoder: Encoder, *, thinking: bool, answer_items: int = 1, domains: Domains = KITREC
) -> Style:
    """Return the style of a method's prompts, in training and in serving."""
    labels = single_token_labels(encoder) if prompt.labels else ()
    return Style(
        thinking,
        answer_items,
        prompt.summaries,
        labels,
        published=prompt.published,
        domains=domains,
        title_first=prompt.title_first,
    )


def single_token_labels(encoder: Encoder) -> tuple[str, ...]:
    """Return one and two capital letters that are the same single token in a candidate's line and in an answer."""
    before, after = encoder.plain(LABEL), encoder.plain(AFTER_LABEL)
    labels = []
    for letters in ("".join(pair) for pair in product(["", *ascii_uppercase], ascii_uppercase)):
        line, answer = encoder.plain(label_mark(letters)), encoder.plain(LABEL + letters + AFTER_LABEL)
        if answer == [*before, line[0], *after] and encoder.plain(letters) == line[:1]:
            labels.append(letters)
    return tuple(labels)


def learned_answer(
    output: str, style: Style, record: Mapping[str, Any], items: Mapping[str, Item], shown: Sequence[str], item: str
) -> str:
    """Return an output that names `item` in the style of its prompt, which shows these candidates of the record."""
    if style.title_first:
        return with_title_first(output, record, items, item)
    return with_label(output, style, shown, item)


def with_label(output: str, style: Style, candidates: Sequence[str], item: str) -> str:
    """Return an output in the style of its prompt: where there are labels, that of `item` opens the answer."""
    if not style.labels:
        return output
    thought, end_think, answer = output.rpartition(END_THINK)
    before, brace, fields = answer.partition("{")
    if not brace:
        raise InputError("prompt.labels: an output without a JSON object cannot name a label")
    label = style.labels[list(candidates).index(item)]
    return f'{thought}{end_think}{before}{LABEL}{label}", {fields.lstrip()}'
