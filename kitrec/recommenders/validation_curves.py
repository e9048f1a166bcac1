"""Validation curves of a training as rows of a plot: NDCG, and the mean weight of each metadata gate."""

import polars as pl

from kitrec.recommenders.sequence_training import SELECTION_METRIC

GATE = "val_gate/"


def validation_curves(rows: list[dict[str, float]]) -> pl.DataFrame:
    """One row (epoch, series, value) for each validated epoch and series."""
    points = [
        {
            "epoch": int(row["epoch"]),
            "series": f"gate: {name.removeprefix(GATE)}" if GATE in name else name,
            "value": value,
        }
        for row in rows
        for name, value in row.items()
        if name == SELECTION_METRIC or name.startswith(GATE)
    ]
    table = pl.DataFrame(points, schema={"epoch": pl.Int64, "series": pl.String, "value": pl.Float64})
    return table.with_columns(pl.col("value").round(6)).sort("series", "epoch")
