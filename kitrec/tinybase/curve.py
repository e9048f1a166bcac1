"""The curve of a pre-training run, from what every step has logged."""

from pathlib import Path

import polars as pl

AVERAGED = 20  # steps per point
LATEST = 200  # steps that "at the end" means


def steps_of(log: Path) -> pl.DataFrame:
    """One row per step with the tokens seen so far; a resumed run has logged some steps twice."""
    return pl.read_ndjson(log).unique("step", keep="last").sort("step").with_columns(pl.col("tokens").cum_sum())


def points(steps: pl.DataFrame) -> pl.DataFrame:
    """Means over some steps, for each kind of lesson."""
    grouped = steps.group_by((pl.col("step") - 1) // AVERAGED, "lesson", maintain_order=True)
    means = grouped.agg(pl.col("tokens").last(), pl.col("loss", "right_choice").mean().round(4))
    return means.select("tokens", "lesson", "loss", "right_choice")


def at_the_end(steps: pl.DataFrame) -> dict[str, float]:
    """Mean loss and share of right choices on whole prompts in the last steps."""
    late = steps.tail(LATEST).filter(pl.col("lesson") == "prompts")
    return {name: float(late[name].mean() or 0.0) for name in ("loss", "right_choice")}  # type: ignore[arg-type]
