"""KitREC's own files (JSONL or parquet), in every variant that is in use, as the tables the pipeline works on.

A row's prompt is `input` if that is not blank, else `instruction`; its metadata are nested under `metadata` or flat;
its truth is `ground_truth` (an object, a JSON string of one, or of a list with one) or `gt_item_id`. What a row shows
but does not name (an item of a history line without id) gets an id made from its text. Rows that break a rule go to
quarantine."""

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from kitrec.core.domains import SOURCE, USER_TYPES
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from kitrec.sources.prompt_text import Line, Prompt, UnreadableError, read_prompt
from kitrec.sources.quarantine import Quarantine

Row = bytes | dict[str, Any]
Shown = tuple[str, Line, str, float | None]  # item id, its line, its domain, its average rating


@dataclass(frozen=True)
class Loaded:
    """What files hold: records of one set, and the items they show."""

    records: pl.DataFrame
    items: pl.DataFrame


@contextmanager
def _collector_off() -> Iterator[None]:
    """Millions of small objects without a cycle: Python's collector would look through them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collector_off()
def load(
    paths: Iterable[Path], which: str, candidates: int, quarantine: Quarantine, *, taught: bool, quiet: bool
) -> Loaded:
    """All good rows of the files of set `which`; every list must have `candidates` items, a `taught` row an output."""
    records: dict[str, dict[str, Any]] = {}
    items: dict[str, dict[str, Any]] = {}
    for path in paths:
        for number, raw in tqdm(_rows(path), desc=path.name, unit=" rows", disable=quiet):
            quarantine.read += 1
            try:
                record, shown = read_row(raw, which, candidates, taught=taught)
                if record["record_id"] in records:
                    raise UnreadableError(f"the same user and target twice: {record['record_id']}")
            except UnreadableError as problem:
                reason, _, detail = str(problem).partition(": ")
                quarantine.reject(path, number, reason, detail)
                continue
            records[record["record_id"]] = record
            for name, line, domain, average in shown:
                if name not in items or (line.title and not items[name]["has_metadata"]):
                    items[name] = _item(name, line, domain, average)
    return Loaded(from_rows(list(records.values()), RECORDS), from_rows(list(items.values()), ITEMS))


def read_row(raw: Row, which: str, candidates: int, *, taught: bool) -> tuple[dict[str, Any], list[Shown]]:
    """(record, the items it shows) of a row; raises UnreadableError with the rule that it breaks."""
    row = raw if isinstance(raw, dict) else _decoded(raw)
    record, shown = _record(row, read_prompt(prompt_of(row)), candidates)
    if record["candidate_set"] != which:
        raise UnreadableError(f"candidate_set is not its file's: {record['candidate_set']} in a file of set {which}")
    if taught and record["output"] is None:
        raise UnreadableError("no output to train on")
    return record, shown


def prompt_of(row: Mapping[str, Any]) -> str:
    """The text that holds the whole prompt."""
    for key in ("input", "instruction"):
        if isinstance(row.get(key), str) and row[key].strip():
            return str(row[key])
    raise UnreadableError("no prompt: both `input` and `instruction` are blank")


def truth_of(row: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[str, float | None]:
    """(item id, stars or None) of the held-out item."""
    given = row.get("ground_truth")
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except ValueError:
            raise UnreadableError("ground_truth is no JSON") from None
    if isinstance(given, list):
        if len(given) != 1:
            raise UnreadableError(f"ground_truth must hold one item: it holds {len(given)}")
        given = given[0]
    found = given if isinstance(given, dict) else {"item_id": about.get("gt_item_id"), "rating": about.get("gt_rating")}
    item = found.get("item_id")
    if not isinstance(item, str):
        raise UnreadableError("no held-out item: neither ground_truth nor gt_item_id names one")
    return item, _stars(found.get("rating"))


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(row number from 1, row); only a newline byte ends a line, whatever Unicode calls a line separator."""
    if path.suffix == ".parquet":
        yield from enumerate(pl.read_parquet(path).iter_rows(named=True), start=1)
        return
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if raw.strip():
                yield number, raw


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        row = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise UnreadableError(f"invalid UTF-8: {problem.reason} at byte {problem.start}") from None
    except ValueError as problem:
        raise UnreadableError(f"broken JSON: {problem}") from None
    if not isinstance(row, dict):
        raise UnreadableError("not a JSON object")
    return row


def _record(row: Mapping[str, Any], prompt: Prompt, candidates: int) -> tuple[dict[str, Any], list[Shown]]:
    about = row["metadata"] if isinstance(row.get("metadata"), dict) else row
    truth, stars = truth_of(row, about)
    listed = [str(line.item_id) for line in prompt.candidates]
    _check(prompt, listed, truth, candidates)
    source: list[Shown] = [(_name(line, SOURCE), line, SOURCE, None) for line in prompt.source]
    target: list[Shown] = [(_name(line, prompt.target), line, prompt.target, None) for line in prompt.target_history]
    shown: list[Shown] = [(str(line.item_id), line, prompt.target, line.rating) for line in prompt.candidates]
    which = str(about.get("candidate_set", "")).lower().removeprefix("set").strip().upper()
    if which not in ("A", "B"):
        raise UnreadableError(f"candidate_set is neither A nor B: {about.get('candidate_set')!r}")
    kind = USER_TYPES.get(str(about.get("user_type")))
    if kind is None or kind.target != prompt.target:
        raise UnreadableError(f"user_type does not fit the target {prompt.target}: {about.get('user_type')!r}")
    user = about.get("user_id")
    if not isinstance(user, str) or not user:
        raise UnreadableError("no user_id")
    record = {
        "record_id": f"{user}:{prompt.target}:{which}",
        "user_id": user,
        "target": prompt.target,
        "candidate_set": which,
        "user_type": kind.name,
        "user_category": kind.category,
        "core": _core(about.get("target_core"), kind.min_target_items),
        "source_items": [name for name, *_ in source],
        "source_ratings": [_stars(line.rating) for line in prompt.source],
        "target_items": [name for name, *_ in target],
        "target_ratings": [_stars(line.rating) for line in prompt.target_history],
        "candidate_ids": listed,
        "candidate_origins": ["truth" if item == truth else "given" for item in listed],
        "gt_item_id": truth,
        "gt_rating": stars,
        "gt_time": None,
        "gt_has_metadata": next(line.title is not None for line in prompt.candidates if line.item_id == truth),
        "output": row.get("output") or None,
        "candidate_hash": hashlib.sha256("\n".join(listed).encode()).hexdigest()[:16],
    }
    return record, [*source, *target, *shown]


def _check(prompt: Prompt, listed: list[str], truth: str, candidates: int) -> None:
    """The rules of a record that its prompt alone can break."""
    if len(listed) != candidates:
        raise UnreadableError(f"wrong number of candidates: {len(listed)}, must be {candidates}")
    if len(set(listed)) != len(listed):
        raise UnreadableError(f"a candidate is listed twice: {next(i for i in listed if listed.count(i) > 1)}")
    if truth not in listed:
        raise UnreadableError(f"the held-out item is not among the candidates: {truth}")
    if not prompt.source:
        raise UnreadableError("empty Books history")


def _core(given: object, fewest: int) -> int:
    """The number of target interactions: an integer or a string of one; the type's own where it is missing."""
    text = str(given if given is not None else fewest).strip()
    if not text.isdigit() or int(text) < 1:
        raise UnreadableError(f"target_core is no count: {given!r}")
    return int(text)


def _stars(given: object) -> float | None:
    if given is None:
        return None
    try:
        stars = float(str(given))
    except ValueError:
        raise UnreadableError(f"rating is no number: {given!r}") from None
    if not 1 <= stars <= 5:
        raise UnreadableError(f"rating outside 1-5: {stars:g}")
    return stars


def _name(line: Line, domain: str) -> str:
    """The item's id; a line without one is named by what it says."""
    said = "\x1f".join([domain, line.title or "", *line.categories, line.description or ""])
    return line.item_id or f"T{hashlib.sha256(said.encode()).hexdigest()[:15]}"


def _item(name: str, line: Line, domain: str, average: float | None) -> dict[str, Any]:
    return {
        "domain": domain,
        "item_id": name,
        "title": line.title,
        "categories": list(line.categories),
        "description": line.description,
        "average_rating": average,
        "year": None,
        "has_metadata": line.title is not None,
    }
