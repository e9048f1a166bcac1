"""Records as KitREC's published rows: what `kitrec/sources/kitrec_jsonl.py` reads, in its newest variant.

User ids are salted (BLAKE2b with the publisher's secret as key), so that rows cannot be led back to a crawl's users."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from kitrec.core.domains import LABELS, SOURCE
from kitrec.prompts.template import Item, Style, segments

STYLE = Style(thinking=True, answer_items=1, summaries=True)
SYSTEM = "You rank candidate items of a target domain for the reader of a source domain."


def rows(records: pl.DataFrame, items: Mapping[str, Item], salt: bytes) -> Iterator[dict[str, Any]]:
    """A row per record, in the order of record ids: with an output one to train on, without one to be answered."""
    for record in records.sort("record_id").iter_rows(named=True):
        prompt, about = segments(record, items, STYLE).text(), _metadata(record, salt)
        if record["output"] is not None:
            yield {"instruction": prompt, "input": "", "output": record["output"], "metadata": about}
        else:
            truth = {"item_id": record["gt_item_id"], "rating": record["gt_rating"]}
            truth = {**truth, "title": items[record["gt_item_id"]]["title"]}
            yield {
                "instruction": SYSTEM,
                "input": prompt,
                "output": "",
                "ground_truth": json.dumps(truth, ensure_ascii=False),
                "metadata": about,
            }


def salted(user: str, salt: bytes) -> str:
    """A name for the user that only the holder of the salt can make again."""
    return hashlib.blake2b(user.encode(), key=salt, digest_size=12).hexdigest()


def _metadata(record: Mapping[str, Any], salt: bytes) -> dict[str, Any]:
    return {
        "user_id": salted(record["user_id"], salt),
        "user_type": record["user_type"],
        "user_category": record["user_category"],
        "target_domain": LABELS[record["target"]],
        "source_domain": LABELS[SOURCE],
        "target_core": record["core"],
        "books_core": len(record["source_items"]),
        "candidate_set": record["candidate_set"],
        "gt_item_id": record["gt_item_id"],
    }
