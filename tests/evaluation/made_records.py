"""Test records made of nothing but candidates and a truth, for what only looks at these."""

import polars as pl

from kitrec.schemas.records import RECORDS

FILLED = {
    "target": "movies",
    "candidate_set": "A",
    "user_type": "source_only_movies",
    "user_category": "source_only",
    "core": 1,
    "source_items": ["BOOK"],
    "source_ratings": [5.0],
    "target_items": [],
    "target_ratings": [],
    "gt_rating": None,
    "gt_time": None,
    "gt_has_metadata": True,
    "output": None,
}


def made_records(candidates: list[list[str]], truths: list[str]) -> pl.DataFrame:
    """A record per list: R0, R1, … of users U0, U1, …"""
    rows = [
        {
            **FILLED,
            "record_id": f"R{k}",
            "user_id": f"U{k}",
            "candidate_ids": ids,
            "candidate_origins": ["random"] * len(ids),
            "gt_item_id": truth,
            "candidate_hash": f"h{k}",
        }
        for k, (ids, truth) in enumerate(zip(candidates, truths, strict=True))
    ]
    return pl.DataFrame(rows, schema=dict(RECORDS.columns))
