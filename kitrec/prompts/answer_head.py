"""The position where an answer names its item: the ids up to it and the ids of each name, to score all candidates.

The score is that of the item's label, which is one token, or (in prompts without labels) of the item's id with the
token that closes its quote, so that no id is the beginning of another. The tokenizer sees head, name and the text after
it as one, as in training, so the ids at the seams are the learned ones."""

from collections.abc import Sequence

from kitrec.prompts.styles import AFTER_LABEL, LABEL
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import END_THINK, THINK, Encoder

ID, AFTER_ID = '{"rank": 1, "item_id": "', '", "title": "'


class AnswerHead:
    """The beginning of an answer in a style, up to the first item's name."""

    def __init__(self, encoder: Encoder, style: Style) -> None:
        self._encoder, self._style = encoder, style
        opened = "```json\n" if style.answer_items == 1 else "```json\n["
        self._text = ("\n\n" if style.thinking else "") + opened + (LABEL if style.labels else ID)
        self._ids_with_name: dict[str, list[int]] = {}

    def prefix_and_names(
        self, prompt: Sequence[int], text: str | None, items: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        """Return (ids up to an item's name, ids of every item's name) after the prompt and the text's thought."""
        names = self._style.labels[: len(items)] or items
        for name in names:
            if name not in self._ids_with_name:
                self._ids_with_name[name] = self._closed(f"{self._text}{name}")
        ids = [self._ids_with_name[name] for name in names]
        head = _shared_length([self._encoder.plain(self._text), *ids])
        return [*prompt, *self._thought(text), *ids[0][:head]], [row[head:] for row in ids]

    def _closed(self, text: str) -> list[int]:
        """Return the ids of a text that ends with a label, or with an id and the token that closes its quote."""
        closed = self._encoder.plain(text + (AFTER_LABEL if self._style.labels else AFTER_ID))
        return closed[: _shared_length([self._encoder.plain(text), closed]) + (not self._style.labels)]

    def _thought(self, text: str | None) -> list[int]:
        """Return the ids of the text's thought, closed if it was not; none for styles that answer at once."""
        if not self._style.thinking:
            return []
        thought = (text or "").partition(END_THINK)[0].replace(THINK, "")
        return [self._encoder.think, *self._encoder.plain(thought), self._encoder.end_think]


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Return the length of the beginning that all rows share."""
    columns = zip(*rows, strict=False)
    return next((k for k, column in enumerate(columns) if len(set(column)) > 1), min(map(len, rows)))
