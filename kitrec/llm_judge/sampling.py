"""Sampling of rationales to judge: equally many records of every user type, the same records for every method.

A record is eligible if every judged method gave a rationale for it and named one of its candidates first. Each record
has a fixed random position in its type: a larger sample, or another method, keeps the records already judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC, Domains
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.llm_judge.injection import remove_injections


@dataclass(frozen=True)
class Rationale:
    """The recommended item and the cleaned rationale of a method."""

    item_id: str
    text: str
    removed: int


@dataclass(frozen=True)
class Sample:
    """Sampled records, the rationales of every method, and the number of eligible records."""

    records: list[dict[str, Any]]
    rationales: dict[tuple[str, str], Rationale]  # (method, record id)
    judgeable: dict[str, int]  # method -> records with a rationale for a candidate
    shortfalls: dict[str, int]  # user type -> records, if fewer than requested

    def removed(self, method: str) -> int:
        """Return the number of sentences removed from a method's rationales."""
        return sum(rationale.removed for (name, _), rationale in self.rationales.items() if name == method)


def draw_sample(
    records: pl.DataFrame,
    rankings: pl.DataFrame,
    methods: Sequence[str],
    *,
    per_type: int,
    seed: int,
    domains: Domains = KITREC,
) -> Sample:
    """Sample the test records; shortfalls of a type are counted, not filled from other types."""
    judgeable = _judgeable(records, rankings.filter(pl.col("method").is_in(list(methods))))
    common = judgeable.group_by("record_id").len().filter(pl.col("len") == len(methods))
    eligible = records.join(common, on="record_id", how="semi")
    if eligible.is_empty():
        raise InputError(f"no test record has a rationale of all of {', '.join(methods)}: see metrics/answers")
    drawn = _first_of_each_type(eligible, list(domains.user_types), per_type, seed)
    counts = dict(drawn.group_by("user_type").len().iter_rows())
    chosen = judgeable.join(drawn, on="record_id", how="semi")
    return Sample(
        drawn.to_dicts(),
        {(row["method"], row["record_id"]): _rationale(row) for row in chosen.iter_rows(named=True)},
        {method: judgeable.filter(pl.col("method") == method).height for method in methods},
        {name: counts.get(name, 0) for name in domains.user_types if counts.get(name, 0) < per_type},
    )


def _judgeable(records: pl.DataFrame, rankings: pl.DataFrame) -> pl.DataFrame:
    """Return written rankings with a rationale and a candidate as first item."""
    written = rankings.filter((pl.col("kind") == "written") & pl.col("rationale").is_not_null())
    first = written.select("method", "record_id", "rationale", item_id=pl.col("item_ids").list.first())
    joined = first.join(records.select("record_id", "candidate_ids"), on="record_id", validate="m:1")
    return joined.filter(pl.col("candidate_ids").list.contains(pl.col("item_id"))).drop("candidate_ids")


def _first_of_each_type(records: pl.DataFrame, user_types: list[str], per_type: int, seed: int) -> pl.DataFrame:
    """Return the records with the lowest random numbers of their type, in the order of types."""
    position = [derived_seed(seed, "judge", name) for name in records["record_id"]]
    order = pl.col("user_type").cast(pl.Enum(user_types))
    queued = records.with_columns(pl.Series("position", position)).sort(order, "position", "record_id")
    return queued.group_by("user_type", maintain_order=True).head(per_type).drop("position")


def _rationale(row: dict[str, Any]) -> Rationale:
    cleaned = remove_injections(row["rationale"])
    return Rationale(row["item_id"], cleaned.text, cleaned.removed)
