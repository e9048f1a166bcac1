"""Published prompts, word for word: the prompt style `published`.

A prompt that is too long loses whole items: an item's lines reach from the line that begins with its id or title to the
next item's. The number of candidates that a heading states stays as published."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kitrec.core.errors import InputError
from kitrec.prompts.shown_items import UNKNOWN

_MARK = re.compile(r"\s*(?:[-*•]\s+|\d+[.)]\s+)?(?:\((?:ID|Item): *([^)\s]+)\)|\[(?:ID|Item): *([^\]\s]+)\])?[\s|]*")
_NUMBER = re.compile(r"^(\s*)\d+(?=[.)]\s)")
_HISTORY = re.compile(r"^#+ .*History.*$", re.MULTILINE)
_END = re.compile(r"\s*$|#|\s*[\])}]+\s*$")  # a blank line, a heading, closing brackets
Span = tuple[int, int]


class UnknownLayoutError(InputError):
    """A published prompt in which an item's lines are not found, so that it cannot lose any."""


@dataclass(frozen=True)
class Layout:
    """Where the items of a published prompt stand in its text."""

    source: list[Span]
    target: list[Span]
    candidates: list[Span]


def published_text(record: Mapping[str, Any]) -> str:
    """Return the prompt that the data hold for a record."""
    if record.get("published_prompt") is None:
        raise InputError(
            f"prompt.text: published, but the data hold no prompt for {record['record_id']}: only KitREC's files do "
            "(source.kind kitrec or hub); set prompt.text to rendered"
        )
    return str(record["published_prompt"])


def published_parts(record: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return head, histories, candidates and task of the published prompt, without the items that the record no longer
    lists, and with its candidates in the record's order."""
    text = published_text(record)
    if not _shortened(record):
        return text, "", "", ""
    layout = find_items(text, record)
    first, begin, end = layout.source[0][0], layout.candidates[0][0], layout.candidates[-1][1]
    middle = (layout.target or layout.source)[-1][1]
    dropped = [
        span
        for side, spans in (("source", layout.source), ("target", layout.target))
        for span in spans[: len(spans) - len(record[f"{side}_items"])]
    ]
    candidates = text[middle:begin] + "".join(_candidate_lines(text, layout, record))
    return text[:first], _without(text, first, middle, dropped), candidates, text[end:]


def find_items(text: str, record: Mapping[str, Any]) -> Layout:
    """Return the lines of the items that the record's texts describe; they stand in the prompt in the same order."""
    texts = [item for side in ("source", "target", "candidate") for item in record[f"{side}_texts"]]
    starts: list[int] = []
    ends: list[int | None] = []
    heading = _HISTORY.search(text)
    for begin, line in _lines(text, heading.end() if heading else 0):
        if len(starts) < len(texts) and _begins(line, texts[len(starts)]):
            if ends and ends[-1] is None:
                ends[-1] = begin
            starts.append(begin)
            ends.append(None)
        elif ends and ends[-1] is None and _END.match(line):
            ends[-1] = begin
    if len(starts) < len(texts):
        raise UnknownLayoutError(
            f"{record['record_id']}: its published prompt is too long and cannot lose items, since no line begins with "
            f"{texts[len(starts)]['item_id']}; raise prompt.max_length, or set prompt.text to rendered"
        )
    spans = [(begin, len(text) if end is None else end) for begin, end in zip(starts, ends, strict=True)]
    books, both = len(record["source_texts"]), len(record["source_texts"]) + len(record["target_texts"])
    return Layout(spans[:books], spans[books:both], spans[both:])


def _shortened(record: Mapping[str, Any]) -> bool:
    """Return whether the record lists other items than its published prompt, or in another order."""
    shown = [item["item_id"] for item in record["candidate_texts"]]
    histories = [len(record[f"{side}_items"]) - len(record[f"{side}_texts"]) for side in ("source", "target")]
    return shown != list(record["candidate_ids"]) or any(histories)


def _lines(text: str, begin: int) -> Iterator[tuple[int, str]]:
    """Yield (position, line) from `begin` on; only a newline ends a line."""
    for line in text[begin:].split("\n"):
        yield begin, line
        begin += len(line) + 1


def _begins(line: str, item: Mapping[str, Any]) -> bool:
    """Return whether a line is the first one of an item: it begins with its id, or without any id with its title."""
    mark = _MARK.match(line)
    if mark and (named := mark[1] or mark[2]):
        return bool(named == item["item_id"])
    return bool(mark and line[mark.end() :].startswith(item["title"] or UNKNOWN))


def _without(text: str, begin: int, end: int, dropped: list[Span]) -> str:
    kept = []
    for first, last in dropped:
        kept.append(text[begin:first])
        begin = last
    return "".join([*kept, text[begin:end]])


def _candidate_lines(text: str, layout: Layout, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the candidates that the record lists, in its order; numbered lists are numbered anew."""
    spans = {item["item_id"]: span for item, span in zip(record["candidate_texts"], layout.candidates, strict=True)}
    for number, item in enumerate(record["candidate_ids"], start=1):
        lines = text[slice(*spans[item])].removesuffix("\n")
        yield _NUMBER.sub(rf"\g<1>{number}", lines) + "\n"
