"""ThinkRec's records: a user with a history, an item, whether it was liked, and for reasoning samples why. JSONL.

Keys: UserID, HisItemIDs, HisItemTitles, TargetItemID, TargetItemTitle, label, mode (v1 reasoning, v2 recommendation),
reason and provenance (of v1 only), User_emb, TargetItem_emb, History_embs. An embedding is the name of a shard beside
the file (its key is the id that the record has anyway) or `base64:` with little-endian float32; History_embs is one
name, or a list of base64. What is wrong with a line stops the reading; a reason that contradicts its label does not,
it is dropped and counted."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.thinkrec.reasons import beginning_with, contradicts, verdict_of
from kitrec.thinkrec.vector_shards import Vectors, read_shards

INLINE = "base64:"
Mode = Literal["v1", "v2"]


@dataclass(frozen=True)
class Record:
    """One question, its true answer, and for a reasoning sample the answer's text."""

    user: str
    history: tuple[str, ...]
    titles: tuple[str, ...]
    target: str
    target_title: str
    label: int
    mode: Mode = "v2"
    reason: str | None = None
    provenance: str | None = None  # who wrote the reason


@dataclass(frozen=True)
class Reading:
    """Records, the vectors they name, and what was dropped."""

    records: list[Record]
    users: Vectors | None
    items: Vectors | None
    dropped: dict[str, int] = field(default_factory=dict)


@checked(config=ConfigDict(extra="forbid", strict=True))
class _Line:
    UserID: str
    HisItemIDs: list[str]
    HisItemTitles: list[str]
    TargetItemID: str
    TargetItemTitle: str
    label: Annotated[int, Field(ge=0, le=1)]
    mode: Mode
    reason: str | None = None
    provenance: str | None = None
    User_emb: str | None = None
    TargetItem_emb: str | None = None
    History_embs: str | list[str] | None = None


_LINE = TypeAdapter(_Line)


def write_records(records: Iterable[Record], path: Path, users: str | None = None, items: str | None = None) -> None:
    """Write a JSONL file; `users` and `items` name the shards beside it that hold the vectors."""
    with files.atomic(path) as draft, draft.open("w", encoding="utf-8") as stream:
        for own in records:
            line = {
                "UserID": own.user,
                "HisItemIDs": list(own.history),
                "HisItemTitles": list(own.titles),
                "TargetItemID": own.target,
                "TargetItemTitle": own.target_title,
                "label": own.label,
                "mode": own.mode,
            }
            more = {"reason": own.reason, "provenance": own.provenance}
            more |= {"User_emb": users, "TargetItem_emb": items, "History_embs": items}
            files.append_json(line | {key: value for key, value in more.items() if value is not None}, stream)


def read_records(path: Path) -> Reading:
    """The records of a JSONL file and their vectors."""
    try:
        texts = path.read_text(encoding="utf-8").split("\n")  # titles may hold other line ends
    except FileNotFoundError:
        raise InputError(f"{path} is missing: make it by kitrec.thinkrec.conversion") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no UTF-8 ({problem}): save it as UTF-8") from None
    lines = [_line(path, number, text) for number, text in enumerate(texts, start=1) if text.strip()]
    records = [_record(own) for own in lines]
    sound = [own for own in records if own.reason is None or not contradicts(own.reason, own.label)]
    kept = [own if own.reason is None else replace(own, reason=_in_form(own.reason, own.label)) for own in sound]
    dropped = {"contradicting_reasons": len(records) - len(kept)}
    return Reading(kept, _vectors(path, _user_pairs(lines)), _vectors(path, _item_pairs(lines)), dropped)


def _in_form(reason: str, label: int) -> str:
    """The scored token comes first: Yes or No as it is asked for, whoever wrote the reason."""
    return beginning_with(verdict_of(label), reason)


def _line(path: Path, number: int, text: str) -> _Line:
    where = f"{path}, line {number}"
    try:
        own = _LINE.validate_json(text)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        told = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {told}: {first['msg'].lower()}; correct the line, or remove it") from None
    if len(own.HisItemIDs) != len(own.HisItemTitles):
        raise InputError(
            f"{where}: {len(own.HisItemIDs)} HisItemIDs, {len(own.HisItemTitles)} HisItemTitles; give each a title"
        )
    if (own.mode == "v1") != (own.reason is not None):
        raise InputError(f"{where}: mode v1 needs a reason, v2 has none; it is {own.mode}")
    if isinstance(own.History_embs, list) and len(own.History_embs) != len(own.HisItemIDs):
        raise InputError(f"{where}: {len(own.HisItemIDs)} HisItemIDs, {len(own.History_embs)} History_embs")
    return own


def _record(own: _Line) -> Record:
    history, titles = tuple(own.HisItemIDs), tuple(own.HisItemTitles)
    return Record(
        own.UserID,
        history,
        titles,
        own.TargetItemID,
        own.TargetItemTitle,
        own.label,
        own.mode,
        own.reason,
        own.provenance,
    )


def _user_pairs(lines: list[_Line]) -> list[tuple[str, str]]:
    return [(own.UserID, own.User_emb) for own in lines if own.User_emb is not None]


def _item_pairs(lines: list[_Line]) -> list[tuple[str, str]]:
    found = [(own.TargetItemID, own.TargetItem_emb) for own in lines if own.TargetItem_emb is not None]
    for own in lines:
        given: Any = own.History_embs or []
        found += zip(own.HisItemIDs, [given] * len(own.HisItemIDs) if isinstance(given, str) else given, strict=False)
    return found


def _vectors(path: Path, named: list[tuple[str, str]]) -> Vectors | None:
    """The shards that are named and what stands inline, as one table."""
    shards = sorted({where for _, where in named if not where.startswith(INLINE)})
    tables = [read_shards([path.parent / name for name in shards])] if shards else []
    inline: dict[str, np.ndarray] = {}
    for own, row in ((own, _decoded(path, own, where)) for own, where in named if where.startswith(INLINE)):
        before = tables[0].find(own) if tables else None
        before = inline.setdefault(own, row) if before is None else before
        if not np.array_equal(before, row):
            raise InputError(f"{path}: {own} has two different vectors; keep one")
    widths = {own.width for own in tables} | {len(row) for row in inline.values()}
    if len(widths) > 1:
        raise InputError(f"{path}: its vectors have the widths {sorted(widths)}; take them all from one model")
    if not widths:
        return None
    fresh = {own: row for own, row in inline.items() if not tables or tables[0].find(own) is None}
    ids = [own for table in tables for own in table.ids] + list(fresh)
    return Vectors(ids, np.concatenate([*(t.rows for t in tables), *(row[None] for row in fresh.values())]))


def _decoded(path: Path, own: str, text: str) -> np.ndarray:
    try:
        raw = base64.b64decode(text.removeprefix(INLINE), validate=True)
        found = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    except (binascii.Error, ValueError) as problem:
        raise InputError(f"{path}: the vector of {own} is no base64 of float32 ({problem})") from None
    if not len(found):
        raise InputError(f"{path}: the vector of {own} is empty")
    return found


def encoded(vector: np.ndarray) -> str:
    """A vector as it stands inline."""
    return INLINE + base64.b64encode(vector.astype("<f4").tobytes()).decode()
