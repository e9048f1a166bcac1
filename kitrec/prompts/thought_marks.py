"""The marks of a thought as token ids: one token each in Qwen3, several tokens of text in most other tokenizers.

A single token is found by its id, as no text can be it. Marks of several tokens are found in the text, because a model
may write them in other pieces than those it is shown (`</think>` and a line break as `</`, `think`, `>\n`)."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True)
class ThoughtMarks:
    """The ids of both marks, and the tokenizer's way from ids to text."""

    think: list[int]
    end_think: list[int]
    text: Callable[[Sequence[int]], str]

    @property
    def are_tokens(self) -> bool:
        """Whether each mark is one token."""
        return len(self.think) == len(self.end_think) == 1

    @property
    def stop(self) -> int | str:
        """What ends a generation with the thought: a token, or a text."""
        return self.end_think[0] if self.are_tokens else END_THINK

    def opened(self, ids: Sequence[int]) -> bool:
        """Whether a thought begins in a reply."""
        return self.think[0] in ids if self.are_tokens else THINK in self.text(ids)

    def end(self, ids: Sequence[int]) -> int | None:
        """Return the position of the token that completes the end of the thought (so budgets include it), or None."""
        if self.are_tokens:
            return list(ids).index(self.end_think[0]) if self.end_think[0] in ids else None
        if END_THINK not in self.text(ids):
            return None
        return bisect_left(range(len(ids)), True, key=lambda k: END_THINK in self.text(ids[: k + 1]))

    def before_end(self, ids: Sequence[int], plain: Callable[[str], list[int]]) -> list[int]:
        """Return the ids of a closed thought without its end; where marks are text, as training would encode it."""
        if self.are_tokens:
            return list(ids[: self.end(ids)])
        opened, mark, thought = self.text(ids).partition(END_THINK)[0].partition(THINK)
        return [*plain(opened), *self.think, *plain(thought)] if mark else plain(opened)
