"""Prompts of text and vectors, in token ids.

A template is text with placeholders:
    <UserID>  <TargetItemID>  <ItemIDList> or <HisItemList>    stand for vectors: one, one, one for each history item
    <ItemTitleList>  <TargetItemTitle>                         stand for text
Only the template is searched for placeholders. What replaces them is encoded separately, so that a title that spells
`<UserID>` is text and never a vector. A missing vector is written as `unknown` and counted. A template without the
target asks for it: it is for records whose answer is an item.
Shapes: T tokens, K vectors, d width."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.core.errors import InputError
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.params import TARGET_MARKS
from kitrec.thinkrec.records import Answer, Record
from kitrec.thinkrec.vector_shards import Vectors

VECTOR_MARKS = ("<UserID>", "<ItemIDList>", "<HisItemList>", "<TargetItemID>")
TEXT_MARKS = ("<ItemTitleList>", "<TargetItemTitle>")
UNKNOWN, NOTHING = "unknown", "(none)"
_MARK = re.compile(r"(<[A-Z]\w*>)")
SLOT = 0  # placeholder token id of a vector; its embedding is never used


@dataclass(frozen=True)
class ComposedPrompt:
    """A prompt, possibly with its answer: token ids [T], positions of vectors [K], and the vectors [K, d]."""

    ids: np.ndarray
    slots: np.ndarray
    vectors: np.ndarray
    missing: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def extended(self, ids: Sequence[int]) -> "ComposedPrompt":
        """Return the prompt with more token ids after it."""
        longer = np.concatenate([self.ids, np.asarray(ids, dtype=np.int64)])
        return ComposedPrompt(longer, self.slots, self.vectors, self.missing)


class PromptComposer:
    """Composes prompts of records from templates; `users` and `items` hold the vectors that templates may show."""

    def __init__(
        self,
        templates: Sequence[str],
        encoder: Encoder,
        history_length: int,
        users: Vectors | None,
        items: Vectors | None,
    ) -> None:
        split = [_MARK.split(template) for template in templates]
        for template, parts in zip(templates, split, strict=True):
            _check(template, parts[1::2], users, items)
        without_target = [parts for parts in split if not set(parts) & set(TARGET_MARKS)]
        self._templates: dict[Answer, list[list[str]]] = {
            "yes_no": [parts for parts in split if parts not in without_target] or split,
            "item": without_target,
        }
        if users and items and users.width != items.width:
            raise InputError(
                f"vectors of users have width {users.width}, of items {items.width}; one projector needs one width: "
                "take both from one model"
            )
        self.encoder, self._history_length, self._users, self._items = encoder, history_length, users, items
        frame = encoder.frame(thinking=False)
        self._before, self._after = frame.before, frame.after
        self.width = (users or items).width if users or items else 0  # type: ignore[union-attr]

    def compose(self, record: Record, template: int = 0) -> ComposedPrompt:
        """Return the prompt of a record up to the answer; `template` counts modulo the number of templates."""
        ids, slots, vectors, missing = list(self._before), [], [], 0
        templates = self._templates[record.answer]
        if not templates:
            raise InputError(
                "a record's answer is an item, and every template shows it: add one without <TargetItemTitle> and "
                "<TargetItemID> to thinkrec.prompt, e.g. 'A reader liked these items: <ItemTitleList>. What is next?'"
            )
        for part in templates[template % len(templates)]:
            if part not in VECTOR_MARKS:
                ids += self.encoder.plain(self._text(part, record))
                continue
            for vector in self._vectors(part, record):
                if vector is None:
                    ids += self.encoder.plain(UNKNOWN)
                    missing += 1
                else:
                    slots.append(len(ids))
                    vectors.append(vector)
                    ids.append(SLOT)
        stacked = np.stack(vectors) if vectors else np.zeros((0, self.width), dtype=np.float32)
        return ComposedPrompt(np.array(ids + self._after), np.array(slots, dtype=np.int64), stacked, missing)

    def _text(self, part: str, record: Record) -> str:
        match part:
            case "<ItemTitleList>":
                return "; ".join(record.titles[-self._history_length :]) or NOTHING
            case "<TargetItemTitle>":
                return record.target_title
            case _:
                return part

    def _vectors(self, mark: str, record: Record) -> list[np.ndarray | None]:
        assert self._items is not None or mark == "<UserID>"
        match mark:
            case "<UserID>":
                return [self._users.find(record.user)] if self._users else [None]
            case "<TargetItemID>":
                return [self._items.find(record.target)] if self._items else [None]
            case _:
                history = record.history[-self._history_length :]
                return [self._items.find(item) for item in history] if self._items else []


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
