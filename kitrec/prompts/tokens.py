"""The single path from text to token ids, for training, transformers and vLLM alike.

Text from data is encoded so that it can never become a control token: special tokens are split, every other added
token (Qwen3's `<think>` is one that is *not* marked special) is broken after its first character, and where the marks
of a thought are text, such text from data has other ids than the marks. Runs of white space stay whole (Gemma has
tokens of them). What the chat template writes is found by chat_template.py, for any family."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from kitrec.core.errors import InputError
from kitrec.prompts.chat_template import Frame, read_end_of_turn, read_frame
from kitrec.prompts.thought_marks import END_THINK, THINK, ThoughtMarks

_PIECES = ("Ab 1", ' (ID: B07)\n\n- é | "c": ', "漢字 x", "1")  # a text in pieces, which must come back as it was


class Encoder:
    """Encodes chat turns as token ids by the tokenizer's own chat template."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise InputError(
                f"the tokenizer of {tokenizer.name_or_path} has no chat template: take that of an instruct model, or "
                "import the base with one (`kitrec base import --chat-template`)"
            )
        self._tokenizer = tokenizer
        added = sorted((token for token in tokenizer.get_added_vocab() if not token.isspace()), key=len, reverse=True)
        self._cuts = dict.fromkeys(added, 1)
        self._breakable = _pattern(added)
        self._frames = {thinking: read_frame(tokenizer, thinking=thinking) for thinking in (True, False)}
        self.end_of_turn = read_end_of_turn(tokenizer)
        self.ends = frozenset({self.end_of_turn, tokenizer.eos_token_id} - {None})
        self.marks = ThoughtMarks(self._ids(THINK), self._ids(END_THINK), self.text)
        self._cuts |= {mark: self._cut(mark) for mark in (THINK, END_THINK) if mark not in added}
        self._breakable = _pattern(sorted(self._cuts, key=len, reverse=True))
        self._check_round_trip()

    @property
    def template_thinks(self) -> bool:
        """Whether the chat template knows a way to answer without a thought."""
        return self._frames[True] != self._frames[False]

    @property
    def stops(self) -> list[int]:
        """The tokens that end a generation beside the tokenizer's EOS."""
        return sorted(self.ends - {self._tokenizer.eos_token_id})

    @property
    def pad(self) -> int:
        """A token to fill rows with, where no position attends."""
        pad = self._tokenizer.pad_token_id
        return int(self.end_of_turn if pad is None else pad)

    def frame(self, *, thinking: bool) -> Frame:
        """Return what stands before and behind a user's text."""
        return self._frames[thinking]

    def prompt(self, text: str, *, thinking: bool) -> list[int]:
        """Return a user turn and the start of the assistant's, which without thinking includes the empty thought."""
        frame = self._frames[thinking]
        return [*frame.before, *self.plain(text), *frame.after]

    def answer(self, output: str, *, thinking: bool) -> list[int]:
        """Return the assistant's turn as it is learned: `<think>…</think>` (if thinking), the rest, end of turn."""
        thought, rest = split_thought(output)
        opened = [*self.thought(thought), *self.plain(rest)]
        return [*(opened if thinking else self.plain(rest.lstrip("\n"))), self.end_of_turn]

    def thought(self, text: str) -> list[int]:
        """Return a closed thought."""
        return [*self.marks.think, *self.plain(text), *self.marks.end_think]

    def plain(self, text: str) -> list[int]:
        """Return the ids of text from data, never an added token of the tokenizer nor the marks of a thought."""
        ids: list[int] = []
        start = 0
        for match in self._breakable.finditer(text):
            cut = match.start() + self._cuts[match.group()]
            ids += self._split(text[start:cut])
            start = cut
        return ids + self._split(text[start:])

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def without_ends(self, text: str) -> str:
        """Return a reply's text without the tokens that end it."""
        for token in self.ends:
            text = text.replace(self.text([token]), "")
        return text

    def _split(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _ids(self, mark: str) -> list[int]:
        return self._tokenizer(mark, add_special_tokens=False)["input_ids"]

    def _cut(self, mark: str) -> int:
        """Return where a mark that is text is cut in data: inside one of its tokens, so its ids never come about."""
        seams = set(accumulate(len(self.text([token])) for token in self._ids(mark)))
        return next((k for k in range(1, len(mark)) if k not in seams), 1)

    def _check_round_trip(self) -> None:
        """Refuse tokenizers whose pieces of a text are not the text, or which read control tokens out of it."""
        ids = [token for piece in _PIECES for token in self.plain(piece)]
        if self.text(ids) != "".join(_PIECES):
            raise InputError(
                f"the tokenizer of {self._tokenizer.name_or_path} does not give a text back that was encoded in pieces "
                f"({self.text(ids)!r}): prompts are built of pieces, so take another base (Qwen3, Llama 3, Gemma)"
            )
        if self.ends & set(self.plain("".join(map(self.text, ([token] for token in self.ends))))):
            raise InputError(
                f"the tokenizer of {self._tokenizer.name_or_path} reads control tokens out of plain text: a title "
                "could end a turn, so take another base"
            )


def _pattern(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def thinking_warnings(encoder: Encoder, *, thinking: bool) -> list[str]:
    """Return what is to be said where a method thinks and the base's chat template knows no thoughts."""
    if not thinking or encoder.template_thinks:
        return []
    return [
        "the chat template of this base knows no thoughts: `<think>` and `</think>` are plain text here, which "
        "fine-tuning teaches and the base alone seldom writes"
    ]


def split_thought(output: str) -> tuple[str, str]:
    """Return (thought, rest) of an output; an output without a closed thought is all rest."""
    head, closed, rest = output.partition(END_THINK)
    if not closed:
        return "", output
    return head.removeprefix(THINK), rest
