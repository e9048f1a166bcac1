"""Prompts as token ids: KitREC's lines of items, each followed by the item's own token (hybrid_embedding.py).

    - Title | categories [item token]              history
    (ID: …) Title | categories [item token]        candidates, if the answer is an id; otherwise as in the history
The prompt is assembled from ids piece by piece, so no text of an item can become another item's token. Without its item
tokens it is the text-only prompt of the curriculum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.ilora.params import PromptConfig
from kitrec.llm.finetuning.dataset import Sample
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.shown_items import UNKNOWN, Item
from kitrec.prompts.template import Style, candidate_line, history_line
from kitrec.prompts.tokens import Encoder

STYLE = Style(thinking=False, answer_items=1, summaries=False)


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt up to where the answer names an item, the tokens of every candidate's name, the ground truth's index."""

    tokens: list[int]
    candidates: list[list[int]]
    ground_truth: int | None


class PromptBuilder:
    """Builds the prompts of one tokenizer; the token of item number n has the id `vocab_size` + n - 1."""

    def __init__(
        self,
        encoder: Encoder,
        items: Mapping[str, Item],
        item_numbers: Mapping[str, int],
        vocab_size: int,
        p: PromptConfig,
    ) -> None:
        self._encoder, self._items, self._item_numbers = encoder, items, item_numbers
        self._vocab_size, self._p = vocab_size, p
        frame = encoder.frame(thinking=False)
        self._prefix, self._suffix = frame.before, frame.after
        self._head = AnswerHead(encoder, STYLE)
        self._cache: dict[str, list[int]] = {}

    def build(self, history: Sequence[str], candidates: Sequence[str], ground_truth: str | None) -> TokenizedPrompt:
        """Build the prompt of a task and its candidate answers."""
        prompt = [*self._prefix, *self._tokenize(_HISTORY)]
        for item in history[-self._p.max_history :]:
            prompt += self._item_line(history_line(self._features(item), None, STYLE), item)
        prompt += self._tokenize(_CANDIDATES.format(count=len(candidates)))
        for item in candidates:
            prompt += self._item_line(self._candidate_text(item), item)
        prompt += [*self._tokenize(_OUTPUT_FORMAT[self._p.answer]), *self._suffix]
        tokens, names = self._split_answers(prompt, candidates)
        if len(tokens) + max(map(len, names)) > self._p.max_length:
            raise InputError(
                f"a prompt of {len(tokens)} tokens and its answer are longer than max_length ({self._p.max_length}): "
                "raise it, or show a shorter history or fewer candidates"
            )
        index = next((k for k, item in enumerate(candidates) if item == ground_truth), None)
        return TokenizedPrompt(tokens, names, index)

    def answer_text(self, item: str) -> str:
        """Return the text by which an answer names an item."""
        return item if self._p.answer == "id" else self._title(item)

    def item_tokens(self, item: str) -> list[int]:
        """Tokenize an item's history line, without its item token."""
        return self._tokenize(history_line(self._features(item), None, STYLE))

    def _split_answers(self, prompt: list[int], candidates: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Return the prompt up to the name, and all names with their terminators: no name is a prefix of another."""
        if self._p.answer == "id":
            return self._head.prefix_and_names(prompt, None, candidates)
        return prompt, [[*self._tokenize(self._title(item)), self._encoder.end_of_turn] for item in candidates]

    def _candidate_text(self, item: str) -> str:
        features = self._features(item)
        return candidate_line(item, features, STYLE) if self._p.answer == "id" else history_line(features, None, STYLE)

    def _item_line(self, text: str, item: str) -> list[int]:
        number = self._item_numbers.get(item)
        item_token = [] if number is None else [self._vocab_size + number - 1]
        return [*self._tokenize(text.removesuffix("\n")), *item_token, *self._tokenize("\n")]

    def _features(self, item: str) -> Item:
        try:
            return self._items[item]
        except KeyError:
            raise InputError(f"item {item} has no row in the table of items: no prompt can show it") from None

    def _title(self, item: str) -> str:
        return self._features(item)["title"] or UNKNOWN

    def _tokenize(self, text: str) -> list[int]:
        if text not in self._cache:
            self._cache[text] = self._encoder.plain(text)
        return self._cache[text]


def to_sample(prompt: TokenizedPrompt, key: str) -> Sample:
    """Return a training sample: the loss is on the ground truth's name, not on the prompt."""
    if prompt.ground_truth is None:
        raise InputError(f"{key}: the ground truth is no candidate; a training task needs it among them")
    ids = np.array(prompt.tokens + prompt.candidates[prompt.ground_truth], dtype=np.int32)
    return Sample(key, ids, len(prompt.tokens))


def text_only(sample: Sample, vocab_size: int) -> Sample:
    """Return the sample without its item tokens."""
    is_text = sample.ids < vocab_size
    return Sample(sample.record_id, sample.ids[is_text], int(is_text[: sample.prompt_length].sum()))


_HISTORY = """You recommend items to a user whose history you know.

## User Interaction History
### User's History, the oldest first:
"""
_CANDIDATES = "\n## List of Available Candidate Items ({count} items)\n"
_OUTPUT_FORMAT = {
    "id": '\n## Output Format\nOne JSON object in a code block, the best candidate:\n{"rank": 1, "item_id": "..."}\n',
    "title": "\n## Output Format\nThe title of the best candidate, nothing else.\n",
}
