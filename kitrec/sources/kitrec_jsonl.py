"""Reader of KitREC's own files (JSONL or parquet), in all variants in use.

A row's prompt is in `input`, in `instruction` or divided between them; its metadata are under `metadata` or flat; its
ground truth is `ground_truth` (an object, a JSON string of one, or of a list with one) or `gt_item_id`. An item
of a history line without an id gets an id derived from its text. Rows that violate a rule go to quarantine."""

import gc
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from kitrec.core.domains import KITREC, UserType
from kitrec.sources.prompt_text import (
    ItemLine,
    ParsedPrompt,
    UnreadableError,
    is_whole,
    parse_prompt,
    whole_prompt,
)
from kitrec.sources.quarantine import Quarantine
from kitrec.sources.raw_rows import FirstRows, Row, decoded, metadata_of
from kitrec.sources.shown_texts import Catalogue, RecordTable, Shown

_CORE = re.compile(r"(?:(?P<least>[1-9]\d*)(?:\.0)?(?:[ -]?core)?(?:(?P<open>\+)|-(?P<most>\d+))?)?")


@dataclass(frozen=True)
class LoadedRecords:
    """Records of one candidate set with what their prompts say, and the catalogue of the items they show."""

    records: pl.DataFrame
    items: pl.DataFrame


@contextmanager
def _gc_disabled() -> Iterator[None]:
    """Millions of small objects without a cycle: Python's collector would look through them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_gc_disabled()
def load(
    paths: Iterable[Path],
    candidate_set: str,
    candidates: int,
    quarantine: Quarantine,
    *,
    require_output: bool,
    quiet: bool,
    limit: int | None = None,
) -> LoadedRecords:
    """Return all valid rows of the files of a candidate set, or those among the first `limit` rows of every user type;
    every list must have `candidates` items."""
    records, items = RecordTable(), Catalogue()
    first_rows = FirstRows(limit)
    for path in paths:
        for number, raw in tqdm(first_rows.of(path), desc=path.name, unit=" rows", disable=quiet):
            quarantine.read += 1
            try:
                record, shown = read_row(raw, candidate_set, candidates, require_output=require_output)
                if record["record_id"] in records.ids:
                    raise UnreadableError(f"the same user and target twice: {record['record_id']}")
            except UnreadableError as problem:
                reason, _, detail = str(problem).partition(": ")
                quarantine.reject(path, number, reason, detail, problem.line)
                continue
            records.add(record, shown)
            items.add(record, shown)
    return LoadedRecords(records.frame(), items.frame())


def read_row(
    raw: Row, candidate_set: str, candidates: int, *, require_output: bool
) -> tuple[dict[str, Any], list[Shown]]:
    """Return (record, the items it shows) of a row; raise UnreadableError with the rule it violates."""
    row = raw if isinstance(raw, dict) else decoded(raw)
    record, shown = _record(row, parse_prompt(prompt_text(row)), candidates)
    record["published_prompt"] = published_prompt(row)
    if record["candidate_set"] != candidate_set:
        detail = f"{record['candidate_set']} in a file of set {candidate_set}"
        raise UnreadableError(f"candidate_set is not its file's: {detail}")
    if require_output and record["output"] is None:
        raise UnreadableError("no output to train on")
    return record, shown


def prompt_text(row: Mapping[str, Any]) -> str:
    """Return the text that holds the whole prompt, from `input`, `instruction`, or both together."""
    return whole_prompt(row)


def published_prompt(row: Mapping[str, Any]) -> str:
    """Return the prompt as published: `instruction` and `input`, whichever are not blank, with a blank line between;
    `input` alone where each of them is a whole prompt."""
    fields = [row.get(key) for key in ("instruction", "input")]
    texts = [text for text in fields if isinstance(text, str) and text.strip()]
    return texts[-1] if all(map(is_whole, texts)) else "\n\n".join(texts)


def read_ground_truth(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return (item id, rating or None) of the held-out item."""
    value = row.get("ground_truth")
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            raise UnreadableError("ground_truth is no JSON") from None
    if isinstance(value, list):
        if len(value) != 1:
            raise UnreadableError(f"ground_truth must hold one item: it holds {len(value)}")
        value = value[0]
    if not isinstance(value, dict):
        value = {"item_id": metadata.get("gt_item_id"), "rating": metadata.get("gt_rating")}
    item = value.get("item_id")
    if not isinstance(item, str):
        raise UnreadableError("no held-out item: neither ground_truth nor gt_item_id names one")
    return item, _parse_rating(value.get("rating"))


def _record(row: Mapping[str, Any], prompt: ParsedPrompt, candidates: int) -> tuple[dict[str, Any], list[Shown]]:
    metadata = metadata_of(row)
    ground_truth, rating = read_ground_truth(row, metadata)
    candidate_ids = [str(line.item_id) for line in prompt.candidates]
    _check(prompt, candidate_ids, ground_truth, candidates)
    source: list[Shown] = [(_item_id(line, KITREC.source), line, KITREC.source, None) for line in prompt.source]
    target: list[Shown] = [(_item_id(line, prompt.target), line, prompt.target, None) for line in prompt.target_history]
    shown: list[Shown] = [(str(line.item_id), line, prompt.target, line.rating) for line in prompt.candidates]
    candidate_set = str(metadata.get("candidate_set", "")).lower().removeprefix("set").strip().upper()
    if candidate_set not in ("A", "B"):
        raise UnreadableError(f"candidate_set is neither A nor B: {metadata.get('candidate_set')!r}")
    user_type = KITREC.user_types.get(str(metadata.get("user_type")))
    if user_type is None or user_type.target != prompt.target:
        raise UnreadableError(f"user_type does not fit the target {prompt.target}: {metadata.get('user_type')!r}")
    user = metadata.get("user_id")
    if not isinstance(user, str) or not user:
        raise UnreadableError("no user_id")
    record = {
        "record_id": f"{user}:{prompt.target}:{candidate_set}",
        "user_id": user,
        "target": prompt.target,
        "candidate_set": candidate_set,
        "user_type": user_type.name,
        "user_category": user_type.category,
        "core": _parse_core(metadata.get("target_core"), user_type, len(target)),
        "source_items": [name for name, *_ in source],
        "source_ratings": [_parse_rating(line.rating) for line in prompt.source],
        "target_items": [name for name, *_ in target],
        "target_ratings": [_parse_rating(line.rating) for line in prompt.target_history],
        "candidate_ids": candidate_ids,
        "candidate_origins": ["truth" if item == ground_truth else "given" for item in candidate_ids],
        "gt_item_id": ground_truth,
        "gt_rating": rating,
        "gt_time": None,
        "gt_has_metadata": next(line.title is not None for line in prompt.candidates if line.item_id == ground_truth),
        "output": row.get("output") or None,
        "candidate_hash": hashlib.sha256("\n".join(candidate_ids).encode()).hexdigest()[:16],
    }
    return record, [*source, *target, *shown]


def _check(prompt: ParsedPrompt, candidate_ids: list[str], ground_truth: str, candidates: int) -> None:
    """Check the rules of a record that concern its prompt alone."""
    if len(candidate_ids) != candidates:
        raise UnreadableError(f"wrong number of candidates: {len(candidate_ids)}, must be {candidates}")
    if len(set(candidate_ids)) != len(candidate_ids):
        duplicate = next(i for i in candidate_ids if candidate_ids.count(i) > 1)
        raise UnreadableError(f"a candidate is listed twice: {duplicate}")
    if ground_truth not in candidate_ids:
        raise UnreadableError(f"the held-out item is not among the candidates: {ground_truth}")
    if not prompt.source:
        raise UnreadableError("empty Books history")


def _parse_core(value: object, user_type: UserType, shown: int) -> int:
    """Return the number of target interactions, the held-out one included.

    A number counts as it stands. Missing, it is the shown history plus one, within what the user type allows; `10+`
    and `5-9` bound that number."""
    known = _CORE.fullmatch("" if value is None else str(value).strip())
    if known is None:
        raise UnreadableError(f"target_core is no count: {value!r}")
    if known["least"] and not known["open"] and not known["most"]:
        return int(known["least"])
    least, most = user_type.min_target_items, user_type.max_target_items or shown + 1
    least, most = int(known["least"] or least), int(known["most"] or max(most, int(known["least"] or least)))
    return min(max(shown + 1, least), most)


def _parse_rating(value: object) -> float | None:
    if value is None:
        return None
    try:
        rating = float(str(value))
    except ValueError:
        raise UnreadableError(f"rating is no number: {value!r}") from None
    if not 1 <= rating <= 5:
        raise UnreadableError(f"rating outside 1-5: {rating:g}")
    return rating


def _item_id(line: ItemLine, domain: str) -> str:
    """Return the item's id; for a line without one, a hash of its content."""
    content = "\x1f".join([domain, line.title or "", *line.categories, line.description or ""])
    return line.item_id or f"T{hashlib.sha256(content.encode()).hexdigest()[:15]}"
