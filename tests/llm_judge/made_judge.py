"""Made rankings with rationales, and params of a judge."""

from collections.abc import Callable
from typing import Any

import polars as pl

from kitrec.core import tables
from kitrec.llm_judge.params import Judge
from kitrec.openai_client.params import Endpoint
from kitrec.schemas.rankings import RANKINGS

Rationale = Callable[[dict[str, Any]], str | None]
OFFLINE: dict[str, Any] = {
    "url": None,
    "model": "judge",
    "temperature": 1.0,
    "max_tokens": 100,
    "max_tokens_parameter": "max_tokens",
    "timeout": 5.0,
    "retries": 0,
    "max_concurrency": 4,
    "input_price": 1.0,
    "output_price": 1.0,
    "budget": 1.0,
}


def made_judge(*methods: str, endpoint: dict[str, Any] | None = None, **changes: Any) -> Judge:
    """Return params with two records per type and two repeats, except for the changes."""
    defaults = {"pairs": [], "records_per_type": 2, "repeats": 2, "max_attempts": 3}
    return Judge(methods=list(methods), endpoint=Endpoint(**{**OFFLINE, **(endpoint or {})}), **{**defaults, **changes})


def made_rankings(records: pl.DataFrame, method: str, rationale: Rationale) -> pl.DataFrame:
    """Return rankings of a method that recommends every record's first candidate, with a rationale (None: without)."""
    rows = [
        {
            "method": method,
            "record_id": record["record_id"],
            "kind": "written",
            "item_ids": record["candidate_ids"][:1],
            "scores": None,
            "status": "ok",
            "invalid_ids": [],
            "confidence": None,
            "rationale": rationale(record),
            "thinking_characters": 0,
            "answer_items": 1,
            "candidate_hash": record["candidate_hash"],
        }
        for record in records.iter_rows(named=True)
    ]
    return tables.from_rows(rows, RANKINGS)
