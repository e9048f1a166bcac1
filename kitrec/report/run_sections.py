"""Report sections on the run itself: stages as a timeline, curves of training, failures of answers, strata."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.report.first_screen import METRICS
from kitrec.report.page import Example, Section
from kitrec.report.palette import Method
from kitrec.report.run_charts import failures_chart, loss_chart, strata_chart, timeline_chart
from kitrec.report.sections import failures
from kitrec.report.stage_times import Bar, most_at_once, stage_bars

Ledgers = Mapping[str, Mapping[str, Any]]
KINDS = {  # first word of a stage -> what it does; the others are about data
    "training": ("train", "build", "distill", "tune"),
    "inference": ("infer", "score", "rank", "explain"),
    "evaluation": ("parse", "evaluate", "analyse", "judge", "probe", "compare", "measure"),
}


def timeline(ledgers: Ledgers, order: Sequence[str]) -> Section:
    """Return stages by the clock; those whose ledgers have no start one after another, in the order of dvc.yaml."""
    placed = stage_bars(ledgers, order)
    bars = [
        {"stage": bar.stage, "kind": _kind(bar.stage), "start": round(bar.start, 2), "end": round(bar.end, 2)}
        | {"start (UTC)": bar.began or "unknown"}
        | _facts(ledgers[bar.stage])
        for bar in placed
    ]
    columns = ["stage", "kind", "start (UTC)", "seconds", "CPU seconds", "peak MiB", "throughput"]
    rows = [[str(bar[column]) for column in columns] for bar in bars]
    text = f"{_when(placed)} A stage that was resumed counts its last part alone. Machine: {_machines(ledgers)}."
    return Section("Timeline and costs", text, columns, rows, timeline_chart(pl.DataFrame(bars)), collapsed=True)


def training(curves: Mapping[str, pl.DataFrame], metrics: Ledgers) -> list[Section]:
    """Return curves of training, if there are any: name -> step, series, value; and what each training consumed."""
    if not curves:
        return []
    panels = {name: loss_chart(rows, "epoch" if "epoch" in rows.columns else "step") for name, rows in curves.items()}
    names = ("steps", "samples", "tokens", "supervised_tokens", "best_eval_loss", "epoch", "epochs", "targets")
    rows = [[name, *(_number(run.get(key)) for key in names)] for name, run in metrics.items()]
    columns = ["model", *(key.replace("_", " ") for key in names)]
    return [Section("Training", "Loss by step, on training and development users.", columns, rows, panels=panels)]


def failure_section(answers: Ledgers, which: str, examples: Sequence[Example]) -> list[Section]:
    """Return the shares of failures by kind with an example of each, if there are answers."""
    if not answers:
        return []
    table, statuses = failures(answers, which), list(next(iter(answers.values()))[which]["status"])
    points = [
        {"method": name, "status": status, "order": k, "share": sets[which]["status"][status]}
        for name, sets in answers.items()
        for k, status in enumerate(statuses)
    ]
    chart = failures_chart(pl.DataFrame(points), statuses)
    return [Section(table.title, table.text, table.columns, table.rows, chart, examples=examples)]


def strata_section(drawn: Sequence[Method], means: pl.DataFrame, metrics: Sequence[str]) -> Section:
    """Return the means of all strata as a heat map, and as a table."""
    by_stratum = means.filter((pl.col("stratum") != "all") & pl.col("metric").is_in([*metrics, *METRICS]))
    scored = by_stratum.filter(pl.col("kind") == "scored", pl.col("metric").is_in(metrics))
    label = pl.format("{}: {}", pl.col("stratum").str.replace_all("_", " "), pl.col("member").str.replace_all("_", " "))
    labelled = by_stratum.with_columns(stratum=label)
    order = labelled["stratum"].unique(maintain_order=True).to_list()
    fields = ("method", "metric", "n", "mean", "low", "high", "few")
    shown = scored.with_columns(stratum=label).select("stratum", *fields, pl.col("mean").alias("value")).drop("value")
    places = {method.name: k for k, method in enumerate(drawn)}
    shown = shown.sort(pl.col("method").replace_strict(places, return_dtype=pl.Int64), maintain_order=True)
    rows = [
        [
            f"{row['stratum']}{' (few)' if row['few'] else ''}",
            f"{row['method']} ({row['kind']})",
            row["metric"],
            str(row["n"]),
            f"{row['mean']:.3f}",
            f"{row['low']:.3f} … {row['high']:.3f}",
        ]
        for row in labelled.filter(pl.col("metric").is_in(metrics)).iter_rows(named=True)
    ]
    text = "Means of scored rankings in every stratum; n and the 95 % interval appear on hover, and in the table."
    columns = ["stratum", "ranking", "metric", "n", "mean", "95 % CI"]
    rounded = shown.with_columns(pl.col("mean", "low", "high").round(4))
    return Section("Strata", text, columns, rows, strata_chart(rounded, order, metrics), collapsed=True)


def _kind(name: str) -> str:
    first = name.partition("_")[0].partition("-")[0]
    return next((kind for kind, words in KINDS.items() if first in words), "data")


def _when(placed: Sequence[Bar]) -> str:
    """Return what the places of stages mean."""
    timed, unknown = [bar for bar in placed if bar.began], sum(not bar.began for bar in placed)
    work = f"{len(placed)} stages, {sum(bar.end - bar.start for bar in placed) / 60:.1f} minutes in all"
    if not timed:
        return f"{work}, one after another: these ledgers have no start times."
    clock = (max(bar.end for bar in timed) - min(bar.start for bar in timed)) / 60
    places = f"{clock:.1f} by the clock without pauses of over a minute, up to {most_at_once(timed)} side by side"
    before = f" Without a start time, so first and one after another: {unknown}." if unknown else ""
    return f"{work}; {places}.{before}"


def _facts(cost: Mapping[str, Any]) -> dict[str, Any]:
    rate = throughput(cost)
    label = " · ".join(filter(None, [f"{cost['seconds']:.1f} s", rate, "resumed" if cost.get("resumed") else ""]))
    numbers = {"seconds": round(cost["seconds"], 1), "CPU seconds": round(cost["cpu_seconds"], 1)}
    return {**numbers, "peak MiB": cost["peak_memory_mib"], "throughput": rate, "label": label}


def throughput(cost: Mapping[str, Any]) -> str:
    """Return tokens or records per second, where a stage counts them."""
    if "tokens_per_second" in cost:
        return f"{cost['tokens_per_second']} tokens/s"
    parts = [value for value in cost.values() if isinstance(value, dict)]
    rates = [value["records_per_second"] for value in parts if "records_per_second" in value]
    return f"{rates[0]:.1f} records/s" if rates else ""


def _machines(ledgers: Ledgers) -> str:
    known = [cost["host"] for cost in ledgers.values() if "host" in cost]
    hosts = {", ".join(f"{key} {value}" for key, value in host.items() if key != "system") for host in known}
    return "; ".join(sorted(hosts)) or "unknown"


def _number(value: object) -> str:
    return (
        "–"
        if value is None
        else f"{value:,}"
        if isinstance(value, int)
        else f"{value:.4f}"
        if isinstance(value, float)
        else str(value)
    )
