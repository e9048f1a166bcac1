"""Leaks through the prompt template: sampled test records are rendered and inspected."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from kitrec.preprocessing.audit_input import NO_LEAK, AuditInput, CheckResult, affected
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, segments

SAMPLE_SIZE = 200  # rendered test records


def item_id_in_template(data: AuditInput) -> CheckResult:
    """Find an item id in the part of the prompt that is the same for all records."""
    ids = set(data.items["item_id"])
    style = _style(data)
    for record, items in _sampled_records(data):
        prompt = segments(record, items, style)
        named = ids.intersection((prompt.head + prompt.task).replace('"', " ").split())
        if named:
            return SAMPLE_SIZE, f"the template of {record['record_id']} names {sorted(named)[0]}"
    named_in = pl.col("published_prompt").str.count_matches(pl.col("gt_item_id"), literal=True)
    twice = data.records["test"].filter(named_in > 1)
    return affected(twice, "the published prompt of {} names its held-out item outside the candidates", "record_id")


def template_depends_on_ground_truth(data: AuditInput) -> CheckResult:
    """Find prompts that change when another candidate is declared the ground truth."""
    style = _style(data)
    different = [
        record["record_id"]
        for record, items in _sampled_records(data)
        if segments(record, items, style) != segments(_with_other_ground_truth(record), items, style)
    ]
    return (len(different), f"{different[0]} reads differently with another ground truth") if different else NO_LEAK


def _style(data: AuditInput) -> Style:
    return Style(thinking=True, answer_items=1, summaries=True, domains=data.domains)


def _with_other_ground_truth(record: Mapping[str, Any]) -> dict[str, Any]:
    other = next(item for item in record["candidate_ids"] if item != record["gt_item_id"])
    return {**record, "gt_item_id": other}


def _sampled_records(data: AuditInput) -> Iterator[tuple[dict[str, Any], dict[str, Item]]]:
    """Yield the first test records with the items they show."""
    records = list(data.records["test"].head(SAMPLE_SIZE).iter_rows(named=True))
    ids = {i for r in records for i in (*r["candidate_ids"], *r["source_items"], *r["target_items"])}
    shown = data.items.filter(pl.col("item_id").is_in(pl.Series(sorted(ids)).implode()))
    items: dict[str, Item] = {row["item_id"]: row for row in shown.iter_rows(named=True)}
    return ((record, items) for record in records)
