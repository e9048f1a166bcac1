"""Training curve of a pre-training run, from the log of its steps."""

from pathlib import Path

import polars as pl

STEPS_PER_POINT = 20
FINAL_STEPS = 200  # steps that the final metrics are averaged over


def read_steps(log: Path) -> pl.DataFrame:
    """Read one row per step with the cumulative tokens; a resumed run has logged some steps twice."""
    return pl.read_ndjson(log).unique("step", keep="last").sort("step").with_columns(pl.col("tokens").cum_sum())


def curve_points(steps: pl.DataFrame) -> pl.DataFrame:
    """Return means over STEPS_PER_POINT steps for each task."""
    grouped = steps.group_by((pl.col("step") - 1) // STEPS_PER_POINT, "task", maintain_order=True)
    means = grouped.agg(pl.col("tokens").last(), pl.col("loss", "right_choice").mean().round(4))
    return means.select("tokens", "task", "loss", "right_choice")


def final_metrics(steps: pl.DataFrame) -> dict[str, float]:
    """Return mean loss and share of right choices on whole prompts in the last steps."""
    last = steps.tail(FINAL_STEPS).filter(pl.col("task") == "prompts")
    return {name: float(last[name].mean() or 0.0) for name in ("loss", "right_choice")}  # type: ignore[arg-type]
