"""Where an answer names its item: the ids up to there, and the ids of each name, for scoring all candidates.

What is scored is the item's id with the token that closes its quote, so that no id is the beginning of another. The
tokenizer sees head, id and what follows as one text, as in training, so the ids at the seams are the learned ones."""

from collections.abc import Sequence

from kitrec.prompts.tokens import END_THINK, THINK, Encoder

OBJECT = '```json\n{"rank": 1, "item_id": "'
ARRAY = '```json\n[{"rank": 1, "item_id": "'
CLOSE = '", "title": "'


class AnswerHead:
    """The beginning of an answer of some style, up to the first item's id."""

    def __init__(self, encoder: Encoder, *, thinking: bool, answer_items: int) -> None:
        self._encoder, self._thinking = encoder, thinking
        self._text = ("\n\n" if thinking else "") + (OBJECT if answer_items == 1 else ARRAY)
        self._named: dict[str, list[int]] = {}

    def asked(self, prompt: Sequence[int], text: str | None, items: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """(ids up to where an item is named, ids of every item's name), given the prompt and what the model wrote."""
        for item in items:
            if item not in self._named:
                self._named[item] = self._closed(f"{self._text}{item}")
        names = [self._named[item] for item in items]
        head = _shared([self._encoder.plain(self._text), *names])
        return [*prompt, *self._thought(text), *names[0][:head]], [name[head:] for name in names]

    def _closed(self, text: str) -> list[int]:
        """The ids of a text that ends with an item, to the one that closes its quote."""
        closed = self._encoder.plain(text + CLOSE)
        return closed[: _shared([self._encoder.plain(text), closed]) + 1]

    def _thought(self, text: str | None) -> list[int]:
        """The model's own thought, closed where it was not; nothing for styles that answer at once."""
        if not self._thinking:
            return []
        thought = (text or "").partition(END_THINK)[0].replace(THINK, "")
        return [self._encoder.think, *self._encoder.plain(thought), self._encoder.end_think]


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with."""
    columns = zip(*rows, strict=False)
    return next((k for k, column in enumerate(columns) if len(set(column)) > 1), min(map(len, rows)))
