"""The single path from text to token ids, for training, transformers and vLLM alike.

Text from data is encoded so that it can never become a control token: special tokens are split, and every other added
token (Qwen3's `<think>` is one that is *not* marked special) is broken after its first character."""

import re
from collections.abc import Sequence
from typing import Any

from kitrec.core.errors import InputError

THINK, END_THINK = "<think>", "</think>"
_SLOT = "\x00"


class Encoder:
    """Encodes chat turns as token ids by the tokenizer's own chat template."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise InputError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template: take that of an instruct model"
            )
        self._tokenizer = tokenizer
        added = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._added = re.compile("|".join(map(re.escape, added)))
        self._skeletons = {thinking: self._skeleton(thinking=thinking) for thinking in (True, False)}
        self.end_of_turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.think, self.end_think = tokenizer.convert_tokens_to_ids([THINK, END_THINK])

    def prompt(self, text: str, *, thinking: bool) -> list[int]:
        """Return a user turn and the start of the assistant's, which without thinking includes the empty thought."""
        before, after = self._skeletons[thinking]
        return [*before, *self.plain(text), *after]

    def answer(self, output: str, *, thinking: bool) -> list[int]:
        """Return the assistant's turn as it is learned: `<think>…</think>` (if thinking), the rest, end of turn."""
        thought, rest = split_thought(output)
        opened = [self.think, *self.plain(thought), self.end_think, *self.plain(rest)]
        return [*(opened if thinking else self.plain(rest.lstrip("\n"))), self.end_of_turn]

    def plain(self, text: str) -> list[int]:
        """Return the ids of text from data, never an added token of the tokenizer."""
        ids: list[int] = []
        start = 0
        for match in self._added.finditer(text):
            cut = match.start() + 1
            ids += self._split(text[start:cut])
            start = cut
        return ids + self._split(text[start:])

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def _split(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _skeleton(self, *, thinking: bool) -> tuple[list[int], list[int]]:
        message = [{"role": "user", "content": _SLOT}]
        text = self._tokenizer.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )
        before, slot, after = text.partition(_SLOT)
        if not slot:
            raise InputError(f"the chat template of {self._tokenizer.name_or_path} drops the user's text")
        return tuple(self._tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, after))


def split_thought(output: str) -> tuple[str, str]:
    """Return (thought, rest) of an output; an output without a closed thought is all rest."""
    head, closed, rest = output.partition(END_THINK)
    if not closed:
        return "", output
    return head.removeprefix(THINK), rest
