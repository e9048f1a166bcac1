"""Where an answer names its item: the ids up to there, and the ids of each name, for scoring all candidates.

What is scored is the item's label, which is one token, or (in prompts without labels) the item's id with the token that
closes its quote, so that no id is the beginning of another. The tokenizer sees head, name and what follows as one text,
as in training, so the ids at the seams are the learned ones."""

from collections.abc import Sequence

from kitrec.prompts.styles import AFTER_LABEL, LABEL
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import END_THINK, THINK, Encoder

ID, AFTER_ID = '{"rank": 1, "item_id": "', '", "title": "'


class AnswerHead:
    """The beginning of an answer of some style, up to the first item's id."""

    def __init__(self, encoder: Encoder, style: Style) -> None:
        self._encoder, self._style = encoder, style
        opened = "```json\n" if style.answer_items == 1 else "```json\n["
        self._text = ("\n\n" if style.thinking else "") + opened + (LABEL if style.labels else ID)
        self._named: dict[str, list[int]] = {}

    def asked(self, prompt: Sequence[int], text: str | None, items: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """(ids up to where an item is named, ids of every item's name), given the prompt and what the model wrote."""
        called = self._style.labels[: len(items)] or items
        for name in called:
            if name not in self._named:
                self._named[name] = self._closed(f"{self._text}{name}")
        names = [self._named[name] for name in called]
        head = _shared([self._encoder.plain(self._text), *names])
        return [*prompt, *self._thought(text), *names[0][:head]], [name[head:] for name in names]

    def _closed(self, text: str) -> list[int]:
        """The ids of a text that ends with a label, or with an id and the token that closes its quote."""
        closed = self._encoder.plain(text + (AFTER_LABEL if self._style.labels else AFTER_ID))
        return closed[: _shared([self._encoder.plain(text), closed]) + (not self._style.labels)]

    def _thought(self, text: str | None) -> list[int]:
        """The model's own thought, closed where it was not; nothing for styles that answer at once."""
        if not self._style.thinking:
            return []
        thought = (text or "").partition(END_THINK)[0].replace(THINK, "")
        return [self._encoder.think, *self._encoder.plain(thought), self._encoder.end_think]


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with."""
    columns = zip(*rows, strict=False)
    return next((k for k, column in enumerate(columns) if len(set(column)) > 1), min(map(len, rows)))
