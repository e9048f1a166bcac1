"""ThinkRec's records: a user with a history, an item, its like/dislike label and optionally a rationale. JSONL.

Keys: UserID, HisItemIDs, HisItemTitles, TargetItemID, TargetItemTitle, label, mode (v1 reasoning, v2 recommendation),
reason and provenance (v1 only), User_emb, TargetItem_emb, History_embs. An embedding is the name of a shard beside the
file (looked up by the id of the user or item) or `base64:` followed by little-endian float32; History_embs is one name
or a list of base64 texts. A malformed line stops the reading; a rationale that contradicts its label is dropped and
counted. A rationale begins with its verdict: Yes or No."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.thinkrec.vector_shards import INLINE, Vectors, decode_vector, read_shards

Mode = Literal["v1", "v2"]
Verdict = Literal["Yes", "No"]
# "No-one", "No doubt they would", "No less than perfect": no verdict
_NONE = "doubt|question|wonder|one|matter|less|fewer|more|other|better|longer|sooner|finer|greater"
_VERDICT = re.compile(rf"\s*(yes|no)\b(?![-'’]\w)(?!(?<=no)\s+(?:{_NONE})\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """A question about an item, its label, and for a reasoning sample the rationale."""

    user: str
    history: tuple[str, ...]
    titles: tuple[str, ...]
    target: str
    target_title: str
    label: int
    mode: Mode = "v2"
    reason: str | None = None
    provenance: str | None = None  # the teacher that wrote the rationale


def label_verdict(label: int) -> Verdict:
    """Return the word that answers whether the item was liked."""
    return "Yes" if label else "No"


def stated_verdict(text: str) -> str | None:
    """Return the verdict that a text begins with, if any."""
    match = _VERDICT.match(text)
    return match[1].capitalize() if match else None


def contradicts(reason: str, label: int) -> bool:
    """Return whether a rationale does not begin with the verdict of the label."""
    return stated_verdict(reason) != label_verdict(label)


def with_verdict(verdict: Verdict, text: str) -> str:
    """Return a rationale in its normal form: the verdict, a full stop, the rest."""
    match = _VERDICT.match(text)
    rest = text[match.end() :] if match else text
    return f"{verdict}. {rest.lstrip(' .,:;-')}".rstrip()


@dataclass(frozen=True)
class RecordFile:
    """The records of a file, the vectors they refer to, and counts of dropped records."""

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
        for record in records:
            line = {
                "UserID": record.user,
                "HisItemIDs": list(record.history),
                "HisItemTitles": list(record.titles),
                "TargetItemID": record.target,
                "TargetItemTitle": record.target_title,
                "label": record.label,
                "mode": record.mode,
            }
            optional = {"reason": record.reason, "provenance": record.provenance}
            optional |= {"User_emb": users, "TargetItem_emb": items, "History_embs": items}
            files.append_json(line | {key: value for key, value in optional.items() if value is not None}, stream)


def read_records(path: Path) -> RecordFile:
    """Read the records of a JSONL file and their vectors."""
    try:
        texts = path.read_text(encoding="utf-8").split("\n")  # titles may contain other line separators
    except FileNotFoundError:
        raise InputError(f"{path} is missing: make it by kitrec.thinkrec.conversion") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is not UTF-8 ({problem}): save it as UTF-8") from None
    lines = [_parse_line(path, number, text) for number, text in enumerate(texts, start=1) if text.strip()]
    records = [_record(line) for line in lines]
    kept = [record for record in records if record.reason is None or not contradicts(record.reason, record.label)]
    dropped = {"contradicting_reasons": len(records) - len(kept)}
    users, items = _read_vectors(path, _user_references(lines)), _read_vectors(path, _item_references(lines))
    return RecordFile([_normalised(record) for record in kept], users, items, dropped)


def _normalised(record: Record) -> Record:
    """Let the rationale begin with the token that is scored, Yes or No, whoever wrote it."""
    if record.reason is None:
        return record
    return replace(record, reason=with_verdict(label_verdict(record.label), record.reason))


def _parse_line(path: Path, number: int, text: str) -> _Line:
    where = f"{path}, line {number}"
    try:
        line = _LINE.validate_json(text)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {key}: {first['msg'].lower()}; correct the line, or remove it") from None
    if len(line.HisItemIDs) != len(line.HisItemTitles):
        raise InputError(
            f"{where}: {len(line.HisItemIDs)} HisItemIDs, {len(line.HisItemTitles)} HisItemTitles; give each a title"
        )
    if (line.mode == "v1") != (line.reason is not None):
        raise InputError(f"{where}: mode v1 needs a reason, v2 has none; it is {line.mode}")
    if isinstance(line.History_embs, list) and len(line.History_embs) != len(line.HisItemIDs):
        raise InputError(f"{where}: {len(line.HisItemIDs)} HisItemIDs, {len(line.History_embs)} History_embs")
    return line


def _record(line: _Line) -> Record:
    history, titles = tuple(line.HisItemIDs), tuple(line.HisItemTitles)
    target = (line.TargetItemID, line.TargetItemTitle, line.label)
    return Record(line.UserID, history, titles, *target, line.mode, line.reason, line.provenance)


def _user_references(lines: list[_Line]) -> list[tuple[str, str]]:
    return [(line.UserID, line.User_emb) for line in lines if line.User_emb is not None]


def _item_references(lines: list[_Line]) -> list[tuple[str, str]]:
    references = [(line.TargetItemID, line.TargetItem_emb) for line in lines if line.TargetItem_emb is not None]
    for line in lines:
        embs: Any = line.History_embs or []
        each = [embs] * len(line.HisItemIDs) if isinstance(embs, str) else embs
        references += zip(line.HisItemIDs, each, strict=False)
    return references


def _read_vectors(path: Path, references: list[tuple[str, str]]) -> Vectors | None:
    """Return the vectors of all named shards and of inline texts as one table."""
    shards = sorted({where for _, where in references if not where.startswith(INLINE)})
    tables = [read_shards([path.parent / name for name in shards])] if shards else []
    inline: dict[str, np.ndarray] = {}
    decoded = ((key, decode_vector(path, key, where)) for key, where in references if where.startswith(INLINE))
    for key, row in decoded:
        before = tables[0].find(key) if tables else None
        before = inline.setdefault(key, row) if before is None else before
        if not np.array_equal(before, row):
            raise InputError(f"{path}: {key} has two different vectors; keep one")
    widths = {table.width for table in tables} | {len(row) for row in inline.values()}
    if len(widths) > 1:
        raise InputError(f"{path}: its vectors have the widths {sorted(widths)}; take them all from one model")
    if not widths:
        return None
    fresh = {key: row for key, row in inline.items() if not tables or tables[0].find(key) is None}
    ids = [key for table in tables for key in table.ids] + list(fresh)
    return Vectors(ids, np.concatenate([*(t.rows for t in tables), *(row[None] for row in fresh.values())]))
