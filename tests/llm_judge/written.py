"""Rankings with rationales, and a judge's params, as the tests of the judge need them."""

from collections.abc import Callable
from typing import Any

import polars as pl

from kitrec.core import tables
from kitrec.llm_judge.params import Judge
from kitrec.openai_client.params import Endpoint
from kitrec.schemas.rankings import RANKINGS

Say = Callable[[dict[str, Any]], str | None]
OFFLINE: dict[str, Any] = {
    "url": None,
    "model": "judge",
    "temperature": 1.0,
    "max_tokens": 100,
    "token_limit": "max_tokens",
    "timeout": 5.0,
    "retries": 0,
    "at_once": 4,
    "input_price": 1.0,
    "output_price": 1.0,
    "limit": 1.0,
}


def a_judge(*methods: str, endpoint: dict[str, Any] | None = None, **changes: Any) -> Judge:
    """Of two records per type and two repeats, but for the changes."""
    plain = {"pairs": [], "per_type": 2, "repeats": 2, "attempts": 3}
    return Judge(methods=list(methods), endpoint=Endpoint(**{**OFFLINE, **(endpoint or {})}), **{**plain, **changes})


def rankings(records: pl.DataFrame, method: str, say: Say) -> pl.DataFrame:
    """A method that recommends every record's first candidate, for what `say` says (None: no rationale)."""
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
            "rationale": say(record),
            "thinking_characters": 0,
            "candidate_hash": record["candidate_hash"],
        }
        for record in records.iter_rows(named=True)
    ]
    return tables.from_rows(rows, RANKINGS)
