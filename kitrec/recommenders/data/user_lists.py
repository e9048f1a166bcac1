"""What every reader met, as lists in time order."""

import polars as pl


def listed(rows: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    """`who` (user_id, target) with items and their domains; `rows` tell by `row` whose they are (readers.met)."""
    lists = rows.group_by("row", maintain_order=True).agg(items="item_id", domains="domain")
    whole = who.with_row_index("row").join(lists, on="row", how="left", maintain_order="left")
    empty = pl.lit([], dtype=pl.List(pl.String))
    return whole.drop("row").with_columns(pl.col("items").fill_null(empty), pl.col("domains").fill_null(empty))
