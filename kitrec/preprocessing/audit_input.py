"""Input and result of a leak check: the prepared data, and the number of affected rows with an example."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from kitrec.core.domains import Domains

CheckResult = tuple[int, str]
NO_LEAK: CheckResult = (0, "")


@dataclass(frozen=True)
class AuditInput:
    """Prepared data: role -> records of one candidate set, items, all interactions of all users at any time, and the
    (user, item) pairs in the histories of training users; the domains, which prompts name."""

    records: Mapping[str, pl.DataFrame]
    items: pl.DataFrame
    interactions: pl.DataFrame
    training_history: pl.DataFrame
    domains: Domains

    @property
    def all_records(self) -> pl.DataFrame:
        """Records of all roles."""
        return pl.concat(list(self.records.values()))

    @cached_property
    def candidates(self) -> pl.DataFrame:
        """One row per candidate of every record: its position, whether it is the ground truth, its text's length and
        whether it has a title, both as the record's prompt shows it."""
        rows = self.all_records.select(
            "record_id",
            "user_id",
            "gt_item_id",
            pl.col("candidate_ids").alias("item_id"),
            pl.int_ranges(pl.col("candidate_ids").list.len()).alias("position"),
            pl.col("candidate_ids").list.len().alias("size"),
            "candidate_texts",
        )
        described = pl.col("candidate_texts").is_not_null()
        facts = self.items.select("item_id", "has_metadata", _length(pl.col("title"), pl.col("description")))
        by_catalogue = rows.filter(~described).drop("candidate_texts").explode("item_id", "position")
        text = pl.col("candidate_texts").struct
        by_prompt = rows.filter(described).explode("item_id", "position", "candidate_texts")
        by_prompt = by_prompt.with_columns(
            text.field("title").is_not_null().alias("has_metadata"),
            _length(text.field("title"), text.field("description")),
        ).drop("candidate_texts")
        shown = by_catalogue.join(facts, on="item_id", how="left", maintain_order="left")
        return pl.concat([shown, by_prompt]).with_columns(is_ground_truth=pl.col("item_id") == pl.col("gt_item_id"))


def _length(title: pl.Expr, description: pl.Expr) -> pl.Expr:
    return (title.str.len_chars().fill_null(0) + description.str.len_chars().fill_null(0)).alias("length")


def affected(rows: pl.DataFrame, message: str, *columns: str) -> CheckResult:
    """Return the number of affected rows, and `message` filled with the columns of the first one."""
    return (rows.height, message.format(*(rows[name][0] for name in columns))) if rows.height else NO_LEAK
