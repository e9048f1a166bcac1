"""Inputs of the report's user explorer: every test record with its rankings and answers, and examples of failures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.parsing.history_mentions import mentioned_items, reasoning_text
from kitrec.parsing.parser import split_thought
from kitrec.preprocessing.params import Data
from kitrec.report.page import Example
from kitrec.report.palette import Method
from kitrec.report.users import Answer, People, UserRecord, people
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS

DATA = Path("data")
Rows = Mapping[str, dict[str, Any]]


def explorer_people(drawn: Sequence[Method]) -> People:
    """Return the explorer's data of all test sets, that of training first."""
    first, sets = params.value(Data, "data.candidate_set"), params.value(Data, "data.test_sets")
    domains, items = params.load(Domains, "domains"), _by_id(DATA / "items.parquet", ITEMS, "item_id")
    ordered = [first, *(which for which in sets if which != first)]
    roles: dict[str, dict[str, str]] = {"learned": {}, "baseline": {}, "bound": {}}
    for method in drawn:
        roles[method.role][method.name] = method.colour
    labels = {**domains.labels, "source": domains.label}
    return people({which: list(_records(which, drawn, items)) for which in ordered}, items, labels, roles)


def failure_examples(which: str, methods: Sequence[str]) -> list[Example]:
    """Return an answer of every method for each way in which answers fail to be parsed."""
    records = _by_id(DATA / f"records/set{which}/test.parquet", RECORDS, leave_out=TEXT_COLUMNS)
    examples = []
    for method in methods:
        texts, ranked = _texts(method, which), _ranked(method, which)
        failed = ranked.filter((pl.col("kind") == "written") & (pl.col("status") != "ok")).sort("record_id")
        for row in failed.unique("status", keep="first", maintain_order=True).iter_rows(named=True):
            if row["record_id"] in texts:
                record, answer = records[row["record_id"]], texts[row["record_id"]]
                title = f"{method}, {row['status']}: user {record['user_id']}, {record['user_type']}"
                text = answer["text"] or f"(no text: {answer['error']})"
                examples.append(Example(title, f"{record['user_id']}:{record['target']}", text))
    return examples


def _records(which: str, drawn: Sequence[Method], items: Rows) -> Iterator[UserRecord]:
    """Yield every test record of a set with what all methods made of it."""
    tables_of = {method.name: _ranked(method.name, which) for method in drawn}
    rankings: dict[str, dict[str, Any]] = {}
    parsed: dict[tuple[str, str], dict[str, Any]] = {}
    for kind in ("scored", "written"):
        for name, table in tables_of.items():
            for row in table.filter(kind=kind).iter_rows(named=True):
                if row["scores"] is not None and len(set(row["scores"])) == 1:
                    continue  # no order: random
                label = name if kind == "scored" else f"{name} (written)"
                rankings.setdefault(row["record_id"], {})[label] = row["item_ids"]
                if kind == "written":
                    parsed[row["record_id"], name] = row
    texts = {name: _texts(name, which) for name in tables_of}
    for record_id, record in _by_id(DATA / f"records/set{which}/test.parquet", RECORDS, leave_out=TEXT_COLUMNS).items():
        answers = {
            name: _answer(record, by_record[record_id], parsed[record_id, name], items)
            for name, by_record in texts.items()
            if record_id in by_record and (record_id, name) in parsed
        }
        yield UserRecord(record, rankings.get(record_id, {}), answers)


def _answer(record: Mapping[str, Any], answer: Mapping[str, Any], parsed: Mapping[str, Any], items: Rows) -> Answer:
    text, rationale = answer["text"], parsed["rationale"] or ""
    thought = split_thought(text)[0].replace("<think>", "").strip() if text else ""
    titles = {item: items[item]["title"] for item in record["source_items"]}
    mentions = sorted(mentioned_items(reasoning_text(text, rationale), titles))
    return Answer(
        text,
        parsed["status"],
        parsed["confidence"],
        thought,
        rationale,
        [str(titles[item] or item) for item in mentions],
        answer["prompt_tokens"],
        answer["answer_tokens"],
    )


def _ranked(method: str, which: str) -> pl.DataFrame:
    """Return the rankings of a method; reference methods share a folder."""
    path = DATA / "rankings" / method / f"set{which}.parquet"
    path = path if path.exists() else DATA / f"rankings/references/set{which}.parquet"
    return tables.read(path, RANKINGS).filter(method=method)


def _texts(method: str, which: str) -> dict[str, dict[str, Any]]:
    path = DATA / f"answers/{method}/set{which}.parquet"
    return _by_id(path, ANSWERS) if path.exists() else {}


def _by_id(
    path: Path, table: tables.Table, key: str = "record_id", leave_out: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in tables.read(path, table, leave_out=leave_out).iter_rows(named=True)}
