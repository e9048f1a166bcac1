"""The form of the answers that training teaches: what stands before and after the id of the first item.

Scores are read where the adapter writes an id, so they need the text that the adapter learned to write before it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.origins import read_origin
from kitrec.prompts.answer_head import AnswerForm
from kitrec.prompts.tokens import split_thought

LEAST_SHARE = 0.8  # of the outputs that agree on a form; scores after another one would be of answers nobody learned
_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n"


@dataclass(frozen=True)
class LearnedForm:
    """The most frequent form of a set of outputs, and the share of the outputs that have it."""

    form: AnswerForm
    share: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is kept with the adapter."""
        return {**asdict(self.form), "share": round(self.share, 4)}


def learned_form(outputs: Iterable[str], *, thinking: bool) -> LearnedForm:
    """Return the form of most outputs; raise if fewer than LEAST_SHARE of them agree."""
    counts = Counter(answer_form(output, thinking=thinking) for output in outputs)
    (form, count), total = counts.most_common(1)[0], counts.total()
    if form is None or count < LEAST_SHARE * total:
        listed = "; ".join(f"{n} of {total}: {_shown(known)}" for known, n in counts.most_common(3))
        raise InputError(
            f"the outputs to learn from begin their answers in too many ways to be scored at one place ({listed}); "
            f"{LEAST_SHARE:.0%} or more must agree on what stands before the item_id of the first object: write the "
            "outputs alike, with the fields in one order and nothing but fixed text before item_id"
        )
    return LearnedForm(form, count / total)


def answer_forms(folders: Mapping[str, Path]) -> dict[str, AnswerForm]:
    """Return how the answers of every adapter begin, where that is known."""
    origins = {name: read_origin(folder) for name, folder in folders.items()}
    known = {name: origin["answer"] for name, origin in origins.items() if origin.get("answer")}
    return {name: AnswerForm(answer["opening"], answer["after"]) for name, answer in known.items()}


def answer_form(output: str, *, thinking: bool) -> AnswerForm | None:
    """Return the form of an output's answer; None if it holds no JSON object with an item_id."""
    rest = split_thought(output)[1]
    answer = rest if thinking else rest.lstrip("\n")
    start = answer.find("{")
    while start >= 0:
        if span := _id_span(answer, start):
            begin, end, following = span
            return AnswerForm(answer[:begin], answer[end:following])
        start = answer.find("{", start + 1)
    return None


def _id_span(text: str, start: int) -> tuple[int, int, int] | None:
    """Return (begin, end, begin of the next value) of the item_id in the JSON object at `start`, without its quotes."""
    try:
        fields = list(_fields(text, start))
    except ValueError:
        return None
    for number, (key, value, begin, end) in enumerate(fields):
        if key == "item_id" and isinstance(value, str) and text[begin + 1 : end - 1] == value:
            following = fields[number + 1][2] if number + 1 < len(fields) else end
            return begin + 1, end - 1, following + (text[following : following + 1] == '"')
    return None


def _fields(text: str, start: int) -> Iterator[tuple[str, Any, int, int]]:
    """Yield (key, value, begin and end of the value) of the JSON object at `start`; raise ValueError if invalid."""
    _DECODER.raw_decode(text, start)  # the whole object is valid
    position = _skip(text, start + 1)
    while text[position] != "}":
        key, position = _DECODER.raw_decode(text, position)
        begin = _skip(text, _skip(text, position) + 1)
        value, end = _DECODER.raw_decode(text, begin)
        yield key, value, begin, end
        position = _skip(text, end)
        position = _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    while text[position] in _BLANKS:
        position += 1
    return position


def _shown(form: AnswerForm | None) -> str:
    return "no JSON object with an item_id" if form is None else repr(f"{form.opening}…{form.after}")[:120]
