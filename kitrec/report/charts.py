"""Vega-Lite specifications of the charts of a run; rendering.py sets their style on the page and in papers."""

from typing import Any

import polars as pl

Chart = dict[str, Any]
_CORES = ["1", "2", "3", "4", "5-9", "10+"]
_METHOD = {"field": "method", "type": "nominal", "title": None}


def core_chart(means: pl.DataFrame, metric: str) -> Chart:
    """Return a metric of all scored rankings by core, with intervals, a panel per target domain."""
    filtered = means.filter(stratum="domain_core", metric=metric, kind="scored")
    parts = pl.col("member").str.split(" ").list
    rows = filtered.select(
        "method", parts.get(0).alias("target"), parts.get(1).alias("core"), "mean", "low", "high", "n"
    )
    x = {"field": "core", "type": "ordinal", "sort": _CORES, "title": "target interactions", "axis": {"labelAngle": 0}}
    mean = {"field": "mean", "type": "quantitative", "title": metric}
    shared = {
        "x": x,
        "xOffset": {"field": "method"},
        "color": _METHOD,
    }  # side by side, so that intervals do not overlap
    layers = [
        {"mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.6}, "encoding": {**shared, "y": mean}},
        {"mark": {"type": "point", "filled": True, "size": 45}, "encoding": {**shared, "y": mean}},
        {
            "mark": {"type": "rule", "opacity": 0.6, "strokeWidth": 1.5},
            "encoding": {**shared, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        },
    ]
    return _panels(rows, "target", {"width": 330, "height": 240, "layer": layers})


def hit_rate_chart(curves: pl.DataFrame) -> Chart:
    """Return the hit rate at every rank, a panel per kind of ranking."""
    last = curves.select(pl.col("rank").max()).item()
    encoding = {
        "x": {"field": "rank", "type": "quantitative", "title": "rank", "scale": {"domain": [1, last], "nice": False}},
        "y": {
            "field": "hit_rate",
            "type": "quantitative",
            "title": "hit rate",
            "scale": {"domain": [0, 1]},
        },
        "color": _METHOD,
    }
    mark = {"type": "line", "strokeWidth": 2, "interpolate": "step-after"}
    return _panels(curves, "kind", {"width": 330, "height": 240, "mark": mark, "encoding": encoding})


def sets_chart(sets: pl.DataFrame) -> Chart:
    """Return the means of every ranking on every test set with intervals, a panel per metric."""
    rows = sets.with_columns(ranking=pl.format("{} ({})", "method", "kind"))
    shared = {
        "y": {"field": "ranking", "type": "nominal", "title": None},
        "yOffset": {"field": "set", "type": "nominal"},
        "color": {"field": "set", "type": "nominal", "title": "test set"},
    }
    low = {"field": "low", "type": "quantitative", "title": "mean", "scale": {"domain": [0, 1]}}
    mean = {"field": "mean", "type": "quantitative"}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {**shared, "x": low, "x2": {"field": "high"}}},
        {"mark": {"type": "point", "filled": True, "size": 45}, "encoding": {**shared, "x": mean}},
    ]
    return _panels(rows, "metric", {"width": 300, "height": {"step": 12}, "layer": layers})


def quality_cost_chart(rows: pl.DataFrame, metric: str) -> Chart:
    """Return a metric over seconds per user, a point per method."""
    seconds = {"field": "seconds_per_user", "type": "quantitative", "title": "seconds per user"}
    scale, axis = {"type": "log", "nice": False, "padding": 40}, {"tickCount": 6, "labelOverlap": "greedy"}
    encoding = {
        "x": {**seconds, "scale": scale, "axis": axis},
        "y": {"field": "mean", "type": "quantitative", "title": metric},
        "color": _METHOD,
    }
    mark = {"type": "point", "filled": True, "size": 90, "opacity": 1}
    return {"data": {"values": rows.to_dicts()}, "width": 460, "height": 240, "mark": mark, "encoding": encoding}


def calibration_chart(calibration: pl.DataFrame) -> Chart:
    """Return the accuracy of the first item by stated confidence."""
    accuracy = {
        "field": "accuracy",
        "type": "quantitative",
        "title": "accuracy",
        "scale": {"domain": [0, 1]},
    }
    confidence = {"field": "confidence", "type": "quantitative", "title": "stated confidence"}
    encoding = {"x": {**confidence, "scale": {"domain": [1, 10]}}, "y": accuracy, "color": _METHOD}
    legend = {"orient": "right", "columns": 1, "tickCount": 3}
    size = {"field": "n", "type": "quantitative", "title": "answers", "legend": legend}
    layers = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding},
        {"mark": {"type": "point", "filled": True}, "encoding": {**encoding, "size": size}},
    ]
    return {"data": {"values": calibration.to_dicts()}, "width": 460, "height": 240, "layer": layers}


def _panels(rows: pl.DataFrame, column: str, panel: Chart) -> Chart:
    return {
        "data": {"values": rows.to_dicts()},
        "facet": {"column": {"field": column, "title": None}},
        "spec": panel,
    }
