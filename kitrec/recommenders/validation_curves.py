"""What the validations of a training said, as rows for a plot: NDCG, and how much each part of an item weighed."""

import polars as pl

from kitrec.recommenders.sequence_training import judged_by

GATE = "val_gate/"


def validations(rows: list[dict[str, float]]) -> pl.DataFrame:
    """epoch, series, value: one row for each judged epoch and series."""
    found = [
        {
            "epoch": int(row["epoch"]),
            "series": f"gate: {name.removeprefix(GATE)}" if GATE in name else name,
            "value": value,
        }
        for row in rows
        for name, value in row.items()
        if name == judged_by(row) or name.startswith(GATE)
    ]
    table = pl.DataFrame(found, schema={"epoch": pl.Int64, "series": pl.String, "value": pl.Float64})
    return table.with_columns(pl.col("value").round(6)).sort("series", "epoch")
