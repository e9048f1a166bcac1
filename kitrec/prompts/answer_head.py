"""The position where an answer names its item: the ids up to it and the ids of each name, to score all candidates.

An adapter's answers begin as those it learned; the base's, as the prompt's output format asks for.

The score is that of the item's label, which is one token, or (in prompts without labels) of the item's id or title, as
it stands in the JSON, up to the token that closes its quote, so that no name is the beginning of another. The tokenizer
sees head, name and the text after it as one, as in training, so the ids at the seams are the learned ones."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kitrec.prompts.json_fields import in_quotes
from kitrec.prompts.styles import LABEL
from kitrec.prompts.template import Style
from kitrec.prompts.thought_marks import END_THINK, THINK
from kitrec.prompts.tokens import Encoder

ID_FIRST = ('{"rank": 1, "item_id": "', '", "title": "')
TITLE_FIRST = ('{"rank": 1, "title": "', '", "item_id": "')
_TITLE = re.compile(r'"title"\s*:\s*"$')


@dataclass(frozen=True)
class AnswerForm:
    """The text of an answer from the end of the thought, or from its beginning, to the id or title of the first item,
    and the text from there to the next value."""

    opening: str
    after: str

    @property
    def title_first(self) -> bool:
        """Whether it is the title that the opening leads to."""
        return _TITLE.search(self.opening) is not None

    def with_labels(self) -> "AnswerForm":
        """Return the form of answers that name a label before all else."""
        before, _, fields = self.opening.rpartition("{")
        return AnswerForm(before + LABEL, f'", {fields.lstrip()}')


def requested_form(style: Style) -> AnswerForm:
    """Return the form that a prompt of the style asks for."""
    opened = "```json\n" if style.answer_items == 1 else "```json\n["
    name, after = TITLE_FIRST if style.title_first else ID_FIRST
    return AnswerForm(("\n\n" if style.thinking else "") + opened + name, after)


class AnswerHead:
    """The beginning of an answer in a style, up to the first item's name; `learned`: adapter -> form of its answers."""

    def __init__(self, encoder: Encoder, style: Style, learned: Mapping[str, AnswerForm] | None = None) -> None:
        self._encoder, self._style = encoder, style
        self._requested, self._learned = requested_form(style), dict(learned or {})
        self._ids_with_name: dict[tuple[AnswerForm, str], list[int]] = {}

    def prefix_and_names(
        self, prompt: Sequence[int], text: str | None, items: Sequence[str], adapter: str | None = None
    ) -> tuple[list[int], list[list[int]]]:
        """Return (ids up to an item's name, ids of every item's name) after the prompt and the text's thought.

        `items`: the candidates' ids, or their titles where answers begin with these; equal titles get equal ids."""
        form = self._form(adapter)
        names = self._style.labels[: len(items)] or items
        for name in names:
            if (form, name) not in self._ids_with_name:
                self._ids_with_name[form, name] = self._closed(form.opening + in_quotes(name), form.after)
        ids = [self._ids_with_name[form, name] for name in names]
        head = _shared_length([self._encoder.plain(form.opening), *ids])
        return [*prompt, *self._thought(text), *ids[0][:head]], [row[head:] for row in ids]

    def _form(self, adapter: str | None) -> AnswerForm:
        form = self._learned.get(adapter, self._requested) if adapter else self._requested
        return form.with_labels() if self._style.labels else form

    def _closed(self, text: str, after: str) -> list[int]:
        """Return the ids of a text that ends with a label, or with a name and the token that closes its quote."""
        closed = self._encoder.plain(text + after)
        if self._style.labels:
            return closed[: _shared_length([self._encoder.plain(text), closed])]
        whole = self._encoder.text(closed)
        name = whole[: len(whole) - len(after) + 1]
        return closed[: bisect_left(range(len(closed)), True, key=lambda k: self._reaches(closed[:k], name))]

    def _reaches(self, ids: Sequence[int], name: str) -> bool:
        """Return whether the ids spell a text that ends with a closing quote; they may spell more."""
        return self._encoder.text(ids).startswith(name)

    def _thought(self, text: str | None) -> list[int]:
        """Return the ids of the text's thought, closed if it was not; none for styles that answer at once."""
        if not self._style.thinking:
            return []
        thought = (text or "").partition(END_THINK)[0].replace(THINK, "")
        return self._encoder.thought(thought)


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Return the length of the beginning that all rows share."""
    columns = zip(*rows, strict=False)
    return next((k for k, column in enumerate(columns) if len(set(column)) > 1), min(map(len, rows)))
