"""Records in the newest variant of KitREC's published format, which `kitrec/sources/kitrec_jsonl.py` reads.

User ids are salted (BLAKE2b with the publisher's secret as key), so that rows cannot be traced to users of a crawl."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC, Domains
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, segments

STYLE = Style(thinking=True, answer_items=1, summaries=True)
SYSTEM = "You rank candidate items of a target domain for the reader of a source domain."


def to_rows(
    records: pl.DataFrame, items: Mapping[str, Item], salt: bytes, domains: Domains = KITREC
) -> Iterator[dict[str, Any]]:
    """Yield a row per record in the order of record ids: a training row with an output, otherwise an evaluation row."""
    style = replace(STYLE, domains=domains)
    for record in records.sort("record_id").iter_rows(named=True):
        prompt, metadata = segments(record, items, style).text(), _metadata(record, salt, domains)
        if record["output"] is not None:
            yield {"instruction": prompt, "input": "", "output": record["output"], "metadata": metadata}
        else:
            ground_truth = {"item_id": record["gt_item_id"], "rating": record["gt_rating"]}
            ground_truth = {**ground_truth, "title": items[record["gt_item_id"]]["title"]}
            yield {
                "instruction": SYSTEM,
                "input": prompt,
                "output": "",
                "ground_truth": json.dumps(ground_truth, ensure_ascii=False),
                "metadata": metadata,
            }


def salted_id(user: str, salt: bytes) -> str:
    """Return a pseudonym of the user that only the holder of the salt can reproduce."""
    return hashlib.blake2b(user.encode(), key=salt, digest_size=12).hexdigest()


def _metadata(record: Mapping[str, Any], salt: bytes, domains: Domains) -> dict[str, Any]:
    return {
        "user_id": salted_id(record["user_id"], salt),
        "user_type": record["user_type"],
        "user_category": record["user_category"],
        "target_domain": domains.labels[record["target"]],
        "source_domain": domains.label,
        "target_core": record["core"],
        f"{domains.source}_core": len(record["source_items"]),
        "candidate_set": record["candidate_set"],
        "gt_item_id": record["gt_item_id"],
    }
