"""Which rationales are judged: of every user type the same number of records, the same records for every method.

A record can be judged if every judged method gave a rationale for it and named one of its candidates first. Each record
has its own place in the queue of its type: more per type, or another method, keeps the records that were judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import USER_TYPES
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.llm_judge.injection import cleaned


@dataclass(frozen=True)
class Rationale:
    """What a method recommended and why, as the judge may read it."""

    item_id: str
    text: str
    removed: int


@dataclass(frozen=True)
class Sample:
    """Records by type, the rationale of every method for each, and what there was to choose from."""

    records: list[dict[str, Any]]
    rationales: dict[tuple[str, str], Rationale]  # (method, record id)
    judgeable: dict[str, int]  # method -> records with a rationale for a candidate
    short: dict[str, int]  # type -> records, where it has fewer than were asked for

    def removed(self, method: str) -> int:
        """How many sentences of a method's rationales spoke to the judge."""
        return sum(own.removed for (name, _), own in self.rationales.items() if name == method)


def draw(records: pl.DataFrame, rankings: pl.DataFrame, methods: Sequence[str], *, per_type: int, seed: int) -> Sample:
    """A sample of the test records; too few in a type are counted, never filled up."""
    found = _judgeable(records, rankings.filter(pl.col("method").is_in(list(methods))))
    common = found.group_by("record_id").len().filter(pl.col("len") == len(methods))
    open_records = records.join(common, on="record_id", how="semi")
    if open_records.is_empty():
        raise InputError(f"no test record has a rationale of all of {', '.join(methods)}: see metrics/answers")
    drawn = _first_of_each_type(open_records, per_type, seed)
    counts = dict(drawn.group_by("user_type").len().iter_rows())
    chosen = found.join(drawn, on="record_id", how="semi")
    return Sample(
        drawn.to_dicts(),
        {(row["method"], row["record_id"]): _rationale(row) for row in chosen.iter_rows(named=True)},
        {method: found.filter(pl.col("method") == method).height for method in methods},
        {name: counts.get(name, 0) for name in USER_TYPES if counts.get(name, 0) < per_type},
    )


def _judgeable(records: pl.DataFrame, rankings: pl.DataFrame) -> pl.DataFrame:
    """Written rankings with a rationale whose first item is a candidate."""
    written = rankings.filter((pl.col("kind") == "written") & pl.col("rationale").is_not_null())
    first = written.select("method", "record_id", "rationale", item_id=pl.col("item_ids").list.first())
    joined = first.join(records.select("record_id", "candidate_ids"), on="record_id", validate="m:1")
    return joined.filter(pl.col("candidate_ids").list.contains(pl.col("item_id"))).drop("candidate_ids")


def _first_of_each_type(records: pl.DataFrame, per_type: int, seed: int) -> pl.DataFrame:
    """The records whose own random numbers are the lowest of their type, in the order of types."""
    place = [derived_seed(seed, "judge", name) for name in records["record_id"]]
    order = pl.col("user_type").cast(pl.Enum(list(USER_TYPES)))
    queued = records.with_columns(pl.Series("place", place)).sort(order, "place", "record_id")
    return queued.group_by("user_type", maintain_order=True).head(per_type).drop("place")


def _rationale(row: dict[str, Any]) -> Rationale:
    own = cleaned(row["rationale"])
    return Rationale(row["item_id"], own.text, own.removed)
