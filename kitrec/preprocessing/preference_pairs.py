"""Preference pairs: the ground truth against a hard negative, for DPO and related methods (Rafailov et al. 2023)."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from kitrec.core.randomness import generator
from kitrec.schemas.preferences import PREFERENCES

HARDEST_FIRST = ("neighbour", "same_category", "popularity_matched", "random", "given")  # given: in KitREC's files
Explain = Callable[[Mapping[str, Any]], str]


def preference_pairs(seed: int, records: pl.DataFrame, explain: Explain) -> pl.DataFrame:
    """Pair the ground truth of every record with a negative of the hardest origin in its list, drawn per record.

    `explain` writes the output for a record's ground truth; for the negative, as if that were the ground truth."""
    rows = []
    for record in records.iter_rows(named=True):
        rng = generator(seed, "preferences", record["record_id"])
        negatives = [
            (item, origin)
            for item, origin in zip(record["candidate_ids"], record["candidate_origins"], strict=True)
            if item != record["gt_item_id"]
        ]
        shuffled = [negatives[k] for k in rng.permutation(len(negatives))]
        hardest = min(shuffled, key=lambda pair: HARDEST_FIRST.index(pair[1]))
        outputs = (explain(record), explain({**record, "gt_item_id": hardest[0]}))
        keys = (record["record_id"], record["user_id"], record["target"], record["gt_item_id"])
        rows.append((*keys, *hardest, *outputs))
    return pl.DataFrame(rows, schema=dict(PREFERENCES.columns), orient="row")
