"""Report section on RQ4: what the stated confidence is worth, also where a method always states the same one."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from scipy import stats

from kitrec.report.page import Section
from kitrec.report.palette import Method
from kitrec.report.run_charts import calibration_chart, confidence_share_chart
from kitrec.report.verdicts import listed

CONSTANT = 0.95  # share of answers with one confidence from which on nothing is left to calibrate
COLUMNS = [
    *("method", "answers", "stated and rated", "most stated", "its share", "right there"),
    *("MAE (halved)", "RMSE (halved)", "MAE (affine)"),
]


def calibration_question(drawn: Sequence[Method], curve: pl.DataFrame, errors: Mapping[str, Any]) -> Section:
    """Return RQ4; `curve` is plots/calibration.csv, `errors` metrics/confidence.json."""
    question = "Does the confidence that an answer states say whether it is right, or how the user rates the item?"
    title = "RQ4 Stated confidence"
    if not curve.height:
        return Section(title, "", question=question, finding="No answer of this run states a confidence.")
    levels = curve.with_columns(share=pl.col("n") / pl.col("n").sum().over("method"))
    stated = {name: part for (name,), part in levels.group_by("method", maintain_order=True)}
    text = (
        "Dashed: a confidence of c out of ten that is right in c of ten answers. Intervals of shares: Wilson; of "
        "errors: BCa by resampled users. Errors are of the confidence against the user's rating of the held-out item, "
        "on KitREC's scale (halved: 10 is five stars) and on the affine one (1 is one star, 10 five)."
    )
    panels = {
        "How often each confidence is stated": confidence_share_chart(drawn, levels),
        "How often the first item is right, by stated confidence": calibration_chart(drawn, _with_intervals(levels)),
    }
    rows = [_row(name, part, errors[name]) for name, part in stated.items()]
    finding = " ".join(_sentence(name, part) for name, part in stated.items())
    return Section(title, text, COLUMNS, rows, panels=panels, question=question, finding=finding)


def _sentence(name: str, levels: pl.DataFrame) -> str:
    """Return what the levels of a method allow to say."""
    most, n = levels.sort("n").row(-1, named=True), int(levels["n"].sum())
    if most["share"] >= CONSTANT:
        return (
            f"{name} states {most['confidence']:g} in {most['share']:.0%} of {n} answers: a constant tells no right "
            f"answer from a wrong one, and {most['accuracy']:.0%} of these answers have the right item first."
        )
    ends = levels.sort("confidence")
    low, high = ends.row(0, named=True), ends.row(-1, named=True)
    said = [f"{row['accuracy']:.0%} of {row['n']} answers at {row['confidence']:g}" for row in (low, high)]
    return f"{name} states {levels.height} levels; the right item is first in {listed(said)}."


def _with_intervals(levels: pl.DataFrame) -> pl.DataFrame:
    bounds = [
        stats.binomtest(round(row["accuracy"] * row["n"]), row["n"]).proportion_ci(method="wilson")
        for row in levels.iter_rows(named=True)
    ]
    low, high = ([getattr(each, side) for each in bounds] for side in ("low", "high"))
    return levels.select("method", "confidence", "n", mean="accuracy", low=pl.Series(low), high=pl.Series(high))


def _row(name: str, levels: pl.DataFrame, errors: Mapping[str, Any]) -> list[str]:
    most, every = levels.sort("n").row(-1, named=True), errors["all"]
    measured = [
        _error(every[scale], measure) for scale, measure in (("halved", "mae"), ("halved", "rmse"), ("affine", "mae"))
    ]
    accuracy, counts = f"{most['accuracy']:.3f}", [str(errors["n"]), str(every["n"])]
    return [name, *counts, f"{most['confidence']:g}", f"{most['share']:.3f}", accuracy, *measured]


def _error(values: Mapping[str, float | None], name: str) -> str:
    if values[name] is None:
        return "–"
    return "{:.3f} ({:.3f}–{:.3f})".format(*(values[key] for key in (name, f"{name}_low", f"{name}_high")))
