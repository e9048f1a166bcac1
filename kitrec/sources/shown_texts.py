"""What prompts say of items: kept with each record, and merged into the catalogue.

A record keeps its own lines. The catalogue, from which recommenders and reports take titles, has one row per item: the
first known value of each field, test prompts before the others and candidate lines before histories. Descriptions and
average ratings come from candidate lines alone: what a history line says after its title is its user's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from kitrec.core.tables import from_rows
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS, TEXT
from kitrec.sources.prompt_text import ItemLine

Shown = tuple[str, ItemLine, str, float | None]  # item id, its line, its domain, its average rating
SIDES = ("source", "target", "candidate")
SEPARATOR = ", "  # of categories
_BATCH = 1000  # records whose texts are Python objects at a time


class RecordTable:
    """Records with the lines of their prompts, kept as columns."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._frames: list[pl.DataFrame] = []
        self._rows: list[dict[str, Any]] = []
        self._shown: list[Sequence[Shown]] = []

    def add(self, record: dict[str, Any], shown: Sequence[Shown]) -> None:
        """Add a record and what it shows: books, target items, candidates."""
        self.ids.add(record["record_id"])
        self._rows.append(record)
        self._shown.append(shown)
        if len(self._rows) == _BATCH:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """Return all records."""
        self._flush()
        return pl.concat(self._frames, rechunk=False)

    def _flush(self) -> None:
        frame = from_rows(self._rows, RECORDS)
        ends = np.cumsum(
            [[len(row["source_items"]), len(row["target_items"]), len(row["candidate_ids"])] for row in self._rows]
            or np.zeros((0, 3), dtype=np.int64),
            axis=1,
        ).tolist()
        parts = [
            (shown[:source], shown[source:target], shown[target:])
            for shown, (source, target, _) in zip(self._shown, ends, strict=True)
        ]
        texts = [_texts(f"{side}_texts", [part[k] for part in parts]) for k, side in enumerate(SIDES)]
        self._frames.append(frame.with_columns(texts))
        self._rows, self._shown = [], []


class Catalogue:
    """The items of some prompts: for each the first known value of every field."""

    def __init__(self) -> None:
        self._candidates: dict[str, dict[str, Any]] = {}
        self._histories: dict[str, dict[str, Any]] = {}

    def add(self, record: Mapping[str, Any], shown: Sequence[Shown]) -> None:
        """Add what a record shows."""
        candidates = len(shown) - len(record["candidate_ids"])
        for name, line, domain, _ in shown[:candidates]:
            if name not in self._histories or (line.title and not self._histories[name]["has_metadata"]):
                self._histories[name] = _item_row(name, line, domain, None, None)
        for name, line, domain, average in shown[candidates:]:
            row = self._candidates.get(name)
            if row is None:
                self._candidates[name] = _item_row(name, line, domain, average, line.description)
            elif not (row["has_metadata"] and row["description"] and row["average_rating"]):
                _complete(row, _item_row(name, line, domain, average, line.description))

    def frame(self) -> pl.DataFrame:
        """Return one row per item."""
        return merge_items(_item_frame(part) for part in (self._candidates, self._histories))


def merge_items(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return one row per item with the first known value of every field; a title comes with its own categories."""
    named = pl.col("title").is_not_null()
    rows = pl.concat(list(frames)).group_by("item_id", maintain_order=True)
    merged = rows.agg(
        pl.col("domain").first(),
        pl.coalesce(pl.col("categories").filter(named).first(), pl.col("categories").first()),
        *(pl.col(name).drop_nulls().first() for name in ("title", "description", "average_rating", "year")),
        pl.col("has_metadata").any(),
    )
    return merged.select(*ITEMS.columns)


def _complete(row: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Fill in what a row lacks."""
    if other["has_metadata"] and not row["has_metadata"]:
        row |= {name: other[name] for name in ("title", "categories", "has_metadata")}
    for name in ("description", "average_rating"):
        if row[name] is None:
            row[name] = other[name]


def _item_row(name: str, line: ItemLine, domain: str, average: float | None, description: str | None) -> dict[str, Any]:
    return {
        "domain": domain,
        "item_id": name,
        "title": line.title,
        "categories": _joined(line),
        "description": description,
        "average_rating": average,
        "year": None,
        "has_metadata": line.title is not None,
    }


def _item_frame(rows: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    joined = dict(ITEMS.columns) | {"categories": pl.String}
    frame = pl.DataFrame({name: [row[name] for row in rows.values()] for name in joined}, schema=joined)
    empty = pl.lit([], dtype=pl.List(pl.String))
    return frame.with_columns(pl.coalesce(pl.col("categories").str.split(SEPARATOR), empty))


def _joined(line: ItemLine) -> str | None:
    return SEPARATOR.join(line.categories) or None


def _texts(name: str, rows: Sequence[Sequence[Shown]]) -> pl.Series:
    """Return a list of texts per row, built from flat columns: nested Python objects are many times slower."""
    flat = [entry for row in rows for entry in row]
    lines = [line for _, line, _, _ in flat]
    columns = {
        "item_id": [item for item, _, _, _ in flat],
        "title": [line.title for line in lines],
        "categories": [_joined(line) for line in lines],
        "average_rating": [average for _, _, _, average in flat],
        "description": [line.description for line in lines],
    }
    row_of = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    texts = pl.DataFrame(columns, schema=TEXT.to_schema()).to_struct("text").to_frame()
    lists = texts.with_columns(row=pl.Series(row_of, dtype=pl.Int64)).group_by("row", maintain_order=True).agg("text")
    every = pl.DataFrame({"row": pl.int_range(len(rows), eager=True)}).join(lists, on="row", how="left")
    empty = pl.lit([], dtype=pl.List(TEXT))
    return every.sort("row").select(pl.col("text").fill_null(empty).alias(name)).to_series()
