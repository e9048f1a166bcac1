"""ThinkRec's records: a user with a history, an item, its like/dislike label and optionally a rationale. JSONL.

Keys: UserID, HisItemIDs, HisItemTitles, TargetItemID, TargetItemTitle, label, mode (v1 reasoning, v2 and v3
recommendation), reason, provenance, answer (yes_no, or item: the prompt ends in the item's title), User_emb,
TargetItem_emb, History_embs. Ids are text or whole numbers; titles may be missing (Unknown). An embedding is a list of
numbers, base64 of little-endian float32, or the name of a shard beside the file (looked up by the id of the user or
item); History_embs is one name or a list. Without a mode, a line is a recommendation sample, and with a reason a
reasoning sample too. A malformed line stops the reading; a rationale that contradicts its label is dropped and counted,
as is the reason of a v2 or v3 line, which does not train. A rationale begins with its verdict: Yes or No."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.thinkrec.vector_shards import Vectors, decode_vector, is_shard, read_shards
from kitrec.training.validation_users import Most, sample_users

UNKNOWN = "Unknown"  # title of an item without one
Mode = Literal["v1", "v2"]
Answer = Literal["yes_no", "item"]
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
    answer: Answer = "yes_no"  # item: the answer is the target's title, and the prompt does not show it


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


def _as_text(value: object) -> object:
    """Return the text of a whole number; anything else is validated as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[str, BeforeValidator(_as_text)]
Vector = str | list[float]


@checked(config=ConfigDict(extra="forbid", strict=True))
class _Line:
    UserID: Id
    TargetItemID: Id
    label: Annotated[int, Field(ge=0, le=1)]
    HisItemIDs: list[Id] = Field(validation_alias=AliasChoices("HisItemIDs", "HisItemList"))
    HisItemTitles: list[str] | None = Field(
        default=None, validation_alias=AliasChoices("HisItemTitles", "HisItemTitleList")
    )
    TargetItemTitle: str | None = None
    mode: Literal["v1", "v2", "v3"] | None = None
    answer: Answer = "yes_no"
    reason: str | None = None
    provenance: str | None = None
    User_emb: Vector | None = None
    TargetItem_emb: Vector | None = None
    History_embs: str | list[Vector] | None = Field(
        default=None, validation_alias=AliasChoices("History_embs", "HisItem_emb_list")
    )

    @property
    def reasoning(self) -> bool:
        """Whether the line is, or contains, a reasoning sample."""
        return self.mode == "v1" or (self.mode is None and self.reason is not None)


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
            optional |= {"answer": record.answer if record.answer != "yes_no" else None}
            optional |= {"User_emb": users, "TargetItem_emb": items, "History_embs": items}
            files.append_json(line | {key: value for key, value in optional.items() if value is not None}, stream)


def of_sampled_users(records: Iterable[Record], most: Most, seed: int) -> list[Record]:
    """Return the records of `most` of their users."""
    known = list(records)
    users = set(sample_users(pl.Series([record.user for record in known], dtype=pl.String), most, seed))
    return [record for record in known if record.user in users]


def read_records(path: Path) -> RecordFile:
    """Read the records of a JSONL file and their vectors."""
    try:
        texts = path.read_text(encoding="utf-8").split("\n")  # titles may contain other line separators
    except FileNotFoundError:
        raise InputError(f"{path} is missing: make it by kitrec.thinkrec.conversion") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is not UTF-8 ({problem}): save it as UTF-8") from None
    lines = [_parse_line(path, number, text) for number, text in enumerate(texts, start=1) if text.strip()]
    records = [record for line in lines for record in _records(line)]
    kept = [record for record in records if record.reason is None or not contradicts(record.reason, record.label)]
    untrained = sum(line.reason is not None and not line.reasoning for line in lines)
    dropped = {"contradicting_reasons": len(records) - len(kept)}
    dropped |= {"reasons_of_recommendations": untrained} if untrained else {}
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
    if line.HisItemTitles is not None and len(line.HisItemIDs) != len(line.HisItemTitles):
        raise InputError(
            f"{where}: {len(line.HisItemIDs)} HisItemIDs, {len(line.HisItemTitles)} HisItemTitles; give each a title"
        )
    if line.mode == "v1" and line.reason is None:
        raise InputError(f"{where}: mode v1 needs a reason; add it, or write v2")
    if line.answer == "item" and (line.mode == "v1" or not line.TargetItemTitle):
        raise InputError(
            f"{where}: answer item is for v2 and v3, and needs a TargetItemTitle; v1 begins with Yes or No"
        )
    if isinstance(line.History_embs, list) and len(line.History_embs) != len(line.HisItemIDs):
        raise InputError(f"{where}: {len(line.HisItemIDs)} HisItemIDs, {len(line.History_embs)} History_embs")
    return line


def _beside(path: Path, name: str) -> Path:
    """Return the path of a shard, which may not lie outside the folder of the file that names it."""
    folder = path.parent.resolve()
    if not (folder / name).resolve().is_relative_to(folder):
        raise InputError(f"{path}: the shard {name} lies outside {path.parent}; put it beside the file")
    return path.parent / name


def _records(line: _Line) -> list[Record]:
    """Return the samples of a line: the recommendation, the reasoning, or without a mode both."""
    history = tuple(line.HisItemIDs)
    titles = (UNKNOWN,) * len(history) if line.HisItemTitles is None else tuple(line.HisItemTitles)
    target = (line.TargetItemID, line.TargetItemTitle or UNKNOWN, line.label)
    plain = Record(line.UserID, history, titles, *target, answer=line.answer)
    explained = replace(plain, mode="v1", reason=line.reason, provenance=line.provenance, answer="yes_no")
    return [*([plain] if line.mode != "v1" else []), *([explained] if line.reasoning else [])]


def _user_references(lines: list[_Line]) -> list[tuple[str, Vector]]:
    return [(line.UserID, line.User_emb) for line in lines if line.User_emb is not None]


def _item_references(lines: list[_Line]) -> list[tuple[str, Vector]]:
    references = [(line.TargetItemID, line.TargetItem_emb) for line in lines if line.TargetItem_emb is not None]
    for line in lines:
        embs: Any = line.History_embs or []
        each = [embs] * len(line.HisItemIDs) if isinstance(embs, str) else embs
        references += zip(line.HisItemIDs, each, strict=False)
    return references


def _read_vectors(path: Path, references: list[tuple[str, Vector]]) -> Vectors | None:
    """Return the vectors of all named shards and of inline vectors as one table."""
    shards = sorted({where for _, where in references if is_shard(where)})
    tables = [read_shards([_beside(path, name) for name in shards])] if shards else []
    inline: dict[str, np.ndarray] = {}
    decoded = ((key, decode_vector(path, key, where)) for key, where in references if not is_shard(where))
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
