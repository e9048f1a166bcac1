"""Records that hold only candidates and a held-out item, for code that uses nothing else."""

import polars as pl

from kitrec.schemas.records import RECORDS

CONSTANT_COLUMNS = {
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


def made_records(candidates: list[list[str]], ground_truth: list[str]) -> pl.DataFrame:
    """Return a record per list: R0, R1, … of users U0, U1, …"""
    rows = [
        {
            **CONSTANT_COLUMNS,
            "record_id": f"R{k}",
            "user_id": f"U{k}",
            "candidate_ids": ids,
            "candidate_origins": ["random"] * len(ids),
            "gt_item_id": gt_item,
            "candidate_hash": f"h{k}",
        }
        for k, (ids, gt_item) in enumerate(zip(candidates, ground_truth, strict=True))
    ]
    return pl.DataFrame(rows, schema=dict(RECORDS.columns))
