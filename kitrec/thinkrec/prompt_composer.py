"""Prompts of text and vectors, in token ids.

A template is text with placeholders:
    <UserID>  <TargetItemID>  <ItemIDList> or <HisItemList>    stand for vectors: one, one, one for each history item
    <ItemTitleList>  <TargetItemTitle>                         stand for text
The template alone is searched for placeholders. What stands for them is encoded on its own, so a title that spells
`<UserID>` is text and never a vector. Where a vector is missing, its place says `unknown` and is counted.
Shapes: T tokens, K vectors, d width."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.vector_shards import Vectors

VECTOR_MARKS = ("<UserID>", "<ItemIDList>", "<HisItemList>", "<TargetItemID>")
TEXT_MARKS = ("<ItemTitleList>", "<TargetItemTitle>")
UNKNOWN, NOTHING = "unknown", "(none)"
_MARK = re.compile(r"(<[A-Z]\w*>)")
SLOT = 0  # the token id that stands where a vector will; no embedding of it is ever used


@dataclass(frozen=True)
class Composed:
    """A prompt, and possibly the answer that follows it: token ids [T], where vectors stand [K], and they [K, d]."""

    ids: np.ndarray
    slots: np.ndarray
    vectors: np.ndarray
    missing: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def followed_by(self, ids: Sequence[int]) -> "Composed":
        """With more text after it."""
        more = np.concatenate([self.ids, np.asarray(ids, dtype=np.int64)])
        return Composed(more, self.slots, self.vectors, self.missing)


class Composer:
    """compose(record) by templates in turn; `users` and `items` hold the vectors, where templates want any."""

    def __init__(
        self, templates: Sequence[str], encoder: Encoder, history: int, users: Vectors | None, items: Vectors | None
    ) -> None:
        self._templates = [_MARK.split(own) for own in templates]
        for own, parts in zip(templates, self._templates, strict=True):
            _check(own, parts[1::2], users, items)
        if users and items and users.width != items.width:
            raise InputError(
                f"vectors of users have width {users.width}, of items {items.width}; one projector needs one width: "
                "take both from one model"
            )
        self._encoder, self._history, self._users, self._items = encoder, history, users, items
        self._before, self._after = _around(encoder)
        self.width = (users or items).width if users or items else 0  # type: ignore[union-attr]

    def compose(self, own: Record, number: int = 0) -> Composed:
        """The prompt of a record up to where the model answers, by the template that is `number`'s turn."""
        ids, slots, vectors, missing = list(self._before), [], [], 0
        for part in self._templates[number % len(self._templates)]:
            if part not in VECTOR_MARKS:
                ids += self._encoder.plain(self._text(part, own))
                continue
            for vector in self._found(part, own):
                if vector is None:
                    ids += self._encoder.plain(UNKNOWN)
                    missing += 1
                else:
                    slots.append(len(ids))
                    vectors.append(vector)
                    ids.append(SLOT)
        stacked = np.stack(vectors) if vectors else np.zeros((0, self.width), dtype=np.float32)
        return Composed(np.array(ids + self._after), np.array(slots, dtype=np.int64), stacked, missing)

    def _text(self, part: str, own: Record) -> str:
        match part:
            case "<ItemTitleList>":
                return "; ".join(own.titles[-self._history :]) or NOTHING
            case "<TargetItemTitle>":
                return own.target_title
            case _:
                return part

    def _found(self, mark: str, own: Record) -> list[np.ndarray | None]:
        assert self._items is not None or mark == "<UserID>"
        match mark:
            case "<UserID>":
                return [self._users.find(own.user)] if self._users else [None]
            case "<TargetItemID>":
                return [self._items.find(own.target)] if self._items else [None]
            case _:
                return [self._items.find(item) for item in own.history[-self._history :]] if self._items else []


def _check(template: str, marks: Sequence[str], users: Vectors | None, items: Vectors | None) -> None:
    unknown = [mark for mark in marks if mark not in VECTOR_MARKS + TEXT_MARKS]
    if unknown:
        raise InputError(
            f"template {template[:60]!r}: {unknown[0]} is no placeholder; there are "
            f"{', '.join(VECTOR_MARKS + TEXT_MARKS)}"
        )
    if stray := [mark for mark in re.findall(r"<\w+>", template) if mark not in VECTOR_MARKS + TEXT_MARKS]:
        raise InputError(f"template {template[:60]!r}: {stray[0]} is no placeholder; mind capital letters")
    if "<UserID>" in marks and users is None:
        raise InputError(f"template {template[:60]!r} shows the user's vector, but there is no shard of users")
    if set(marks) & set(VECTOR_MARKS[1:]) and items is None:
        raise InputError(f"template {template[:60]!r} shows vectors of items, but there is no shard of items")


def _around(encoder: Encoder) -> tuple[list[int], list[int]]:
    """What the chat template writes before and after a user's text."""
    one, other = (encoder.prompt(text, thinking=False) for text in ("a", "b"))
    same = next(k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[:same], one[same + len(encoder.plain("a")) :]
