"""The form of the answers that training teaches: what stands before and after the id (or title) of the first item.

Scores are read where an adapter writes that name, so they need the text that it learned to write before the name."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.origins import read_origin
from kitrec.prompts.answer_head import AnswerForm
from kitrec.prompts.json_fields import fields_at, in_quotes
from kitrec.prompts.params import Prompt
from kitrec.prompts.shown_items import Item
from kitrec.prompts.title_first import with_title_first
from kitrec.prompts.tokens import split_thought

LEAST_SHARE = 0.8  # of the outputs that agree on a form; scores after another one would be of answers nobody learned


@dataclass(frozen=True)
class LearnedForm:
    """The most frequent form of a set of outputs, and the share of the outputs that have it."""

    form: AnswerForm
    share: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is kept with the adapter."""
        return {**asdict(self.form), "share": round(self.share, 4)}


def form_to_learn(records: pl.DataFrame, items: Mapping[str, Item], prompt: Prompt, *, thinking: bool) -> LearnedForm:
    """Return the form of most answers that training on these records teaches."""
    outputs: Iterable[str] = records["output"]
    if prompt.title_first:
        outputs = [with_title_first(r["output"], r, items, r["gt_item_id"]) for r in records.iter_rows(named=True)]
    return learned_form(outputs, "title" if prompt.title_first else "item_id", thinking=thinking)


def learned_form(outputs: Iterable[str], name: str = "item_id", *, thinking: bool) -> LearnedForm:
    """Return the form of most outputs around this key of their JSON; raise if fewer than LEAST_SHARE of them agree."""
    counts = Counter(answer_form(output, name, thinking=thinking) for output in outputs)
    (form, count), total = counts.most_common(1)[0], counts.total()
    if form is None or count < LEAST_SHARE * total:
        listed = "; ".join(f"{n} of {total}: {_shown(known)}" for known, n in counts.most_common(3))
        raise InputError(
            f"the outputs to learn from begin their answers in too many ways to be scored at one place ({listed}); "
            f"{LEAST_SHARE:.0%} or more must agree on what stands before the {name} of the first object: write the "
            f"outputs alike, with the fields in one order and nothing but fixed text before {name}"
        )
    return LearnedForm(form, count / total)


def answer_forms(folders: Mapping[str, Path], prompt: Prompt) -> dict[str, AnswerForm]:
    """Return how the answers of every adapter begin, where that is known; refuse adapters that name the item otherwise
    than the prompts."""
    origins = {name: read_origin(folder) for name, folder in folders.items()}
    known = {name: origin["answer"] for name, origin in origins.items() if origin.get("answer")}
    forms = {name: AnswerForm(answer["opening"], answer["after"]) for name, answer in known.items()}
    for name, form in forms.items():
        if form.title_first != prompt.title_first:
            learned = "title" if form.title_first else "id"
            raise InputError(
                f"prompt.answer_begins_with: {name} learned answers that begin with the item's {learned}, so they are "
                f"not scored by {prompt.answer_begins_with}; set it to {learned}, or train {name} again"
            )
    return forms


def answer_form(output: str, name: str = "item_id", *, thinking: bool) -> AnswerForm | None:
    """Return the form of an output's answer; None if it holds no JSON object with this name."""
    rest = split_thought(output)[1]
    answer = rest if thinking else rest.lstrip("\n")
    start = answer.find("{")
    while start >= 0:
        if span := _span(answer, start, name):
            begin, end, following = span
            return AnswerForm(answer[:begin], answer[end:following])
        start = answer.find("{", start + 1)
    return None


def _span(text: str, start: int, name: str) -> tuple[int, int, int] | None:
    """Return (begin, end, begin of the next value) of the name in the JSON object at `start`, without its quotes."""
    fields = fields_at(text, start)
    for field, following in zip_longest(fields, fields[1:]):
        inside = slice(field.begin + 1, field.end - 1)
        if field.key == name and isinstance(field.value, str) and text[inside] == in_quotes(field.value):
            next_value = following.begin if following else field.end
            return inside.start, inside.stop, next_value + (text[next_value : next_value + 1] == '"')
    return None


def _shown(form: AnswerForm | None) -> str:
    return "no JSON object with an item_id" if form is None else repr(f"{form.opening}…{form.after}")[:120]
