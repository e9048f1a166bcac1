"""A task as token ids: KitREC's lines of items, each known item followed by its own word (hybrid.py).

    - Title | categories [item's word]              history
    (ID: …) Title | categories [item's word]        candidates, where the answer is an id; else as in the history
The prompt is put together from ids, piece by piece, so no text of an item can become another item's word. Without the
items' words it is the text-only prompt of the curriculum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.ilora.params import Choice
from kitrec.llm.finetuning.dataset import Sample
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.template import UNKNOWN, Item, Style, candidate_line, history_line
from kitrec.prompts.tokens import Encoder

STYLE = Style(thinking=False, answer_items=1, summaries=False)


@dataclass(frozen=True)
class Asked:
    """A prompt up to where the answer names an item, the ids of every candidate's name, and which one is true."""

    text: list[int]
    names: list[list[int]]
    truth: int | None


class Writer:
    """Writes tasks for one tokenizer and the items' words that begin at id `words`."""

    def __init__(
        self, encoder: Encoder, items: Mapping[str, Item], numbers: Mapping[str, int], words: int, p: Choice
    ) -> None:
        self._encoder, self._items, self._numbers, self._words, self._p = encoder, items, numbers, words, p
        self._before, self._after = _frame(encoder)
        self._head = AnswerHead(encoder, STYLE)
        self._lines: dict[str, list[int]] = {}

    def ask(self, history: Sequence[str], candidates: Sequence[str], truth: str | None) -> Asked:
        """The prompt of a task and its possible answers."""
        prompt = [*self._before, *self._plain(_HISTORY)]
        for item in history[-self._p.history :]:
            prompt += self._line(history_line(self._facts(item), None, STYLE), item)
        prompt += self._plain(_CANDIDATES.format(count=len(candidates)))
        for item in candidates:
            prompt += self._line(self._offered(item), item)
        prompt += [*self._plain(_WANTED[self._p.answer]), *self._after]
        text, names = self._answers(prompt, candidates)
        if len(text) + max(map(len, names)) > self._p.max_length:
            raise InputError(
                f"a prompt of {len(text)} ids and its answer are longer than max_length ({self._p.max_length}): "
                "raise it, or show a shorter history or fewer candidates"
            )
        return Asked(text, names, next((k for k, item in enumerate(candidates) if item == truth), None))

    def name(self, item: str) -> str:
        """What an answer calls an item."""
        return item if self._p.answer == "id" else self._title(item)

    def item_text(self, item: str) -> list[int]:
        """The ids of an item's line in a history, without its word."""
        return self._plain(history_line(self._facts(item), None, STYLE))

    def _answers(self, prompt: list[int], candidates: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """The prompt up to the name, and all names with what closes them: no name is the beginning of another."""
        if self._p.answer == "id":
            return self._head.prefix_and_names(prompt, None, candidates)
        return prompt, [[*self._plain(self._title(item)), self._encoder.end_of_turn] for item in candidates]

    def _offered(self, item: str) -> str:
        facts = self._facts(item)
        return candidate_line(item, facts, STYLE) if self._p.answer == "id" else history_line(facts, None, STYLE)

    def _line(self, text: str, item: str) -> list[int]:
        number = self._numbers.get(item)
        word = [] if number is None else [self._words + number - 1]
        return [*self._plain(text.removesuffix("\n")), *word, *self._plain("\n")]

    def _facts(self, item: str) -> Item:
        try:
            return self._items[item]
        except KeyError:
            raise InputError(f"item {item} has no row in the table of items: no prompt can show it") from None

    def _title(self, item: str) -> str:
        return self._facts(item)["title"] or UNKNOWN

    def _plain(self, text: str) -> list[int]:
        if text not in self._lines:
            self._lines[text] = self._encoder.plain(text)
        return self._lines[text]


def sample_of(asked: Asked, key: str) -> Sample:
    """What is learned from a task: its prompt is given, the true name is learned."""
    if asked.truth is None:
        raise InputError(f"{key}: the true item is no candidate; a task to learn from needs it among them")
    ids = np.array(asked.text + asked.names[asked.truth], dtype=np.int32)
    return Sample(key, ids, len(asked.text))


def text_only(sample: Sample, words: int) -> Sample:
    """The same without the items' words."""
    kept = sample.ids < words
    return Sample(sample.record_id, sample.ids[kept], int(kept[: sample.prompt_length].sum()))


def _frame(encoder: Encoder) -> tuple[list[int], list[int]]:
    """What the chat template puts before and after a user's text: where the turns of two texts do not differ."""
    one, other = (encoder.prompt(text, thinking=False) for text in "AB")
    before = next(k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[:before], one[before + len(encoder.plain("A")) :]


_HISTORY = """You recommend items to a user whose history you know.

## User Interaction History
### User's History, the oldest first:
"""
_CANDIDATES = "\n## List of Available Candidate Items ({count} items)\n"
_WANTED = {
    "id": '\n## Output Format\nOne JSON object in a code block, the best candidate:\n{"rank": 1, "item_id": "..."}\n',
    "title": "\n## Output Format\nThe title of the best candidate, nothing else.\n",
}
