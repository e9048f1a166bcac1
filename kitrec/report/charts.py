"""Charts of a run in vega-lite: what is drawn. How it looks on the page and in papers is drawing.py's."""

from typing import Any

import polars as pl

Chart = dict[str, Any]
_CORES = ["1", "2", "3", "4", "5-9", "10+"]
_METHOD = {"field": "method", "type": "nominal", "title": None}


def by_core(cells: pl.DataFrame, metric: str) -> Chart:
    """A metric of all scored rankings by core, with intervals, a panel per target domain."""
    own = cells.filter(stratum="domain_core", metric=metric, kind="scored")
    place = pl.col("member").str.split(" ").list
    rows = own.select("method", place.get(0).alias("target"), place.get(1).alias("core"), "mean", "low", "high", "n")
    x = {"field": "core", "type": "ordinal", "sort": _CORES, "title": "target interactions", "axis": {"labelAngle": 0}}
    mean = {"field": "mean", "type": "quantitative", "title": metric}
    shared = {
        "x": x,
        "xOffset": {"field": "method"},
        "color": _METHOD,
    }  # side by side: intervals do not hide each other
    layers = [
        {"mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.6}, "encoding": {**shared, "y": mean}},
        {"mark": {"type": "point", "filled": True, "size": 45}, "encoding": {**shared, "y": mean}},
        {
            "mark": {"type": "rule", "opacity": 0.6, "strokeWidth": 1.5},
            "encoding": {**shared, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        },
    ]
    return _panels(rows, "target", {"width": 330, "height": 240, "layer": layers})


def within_rank(ranks: pl.DataFrame) -> Chart:
    """The share of truths within every rank, a panel per kind of ranking."""
    last = ranks.select(pl.col("rank").max()).item()
    encoding = {
        "x": {"field": "rank", "type": "quantitative", "title": "rank", "scale": {"domain": [1, last], "nice": False}},
        "y": {
            "field": "within",
            "type": "quantitative",
            "title": "truths within the rank",
            "scale": {"domain": [0, 1]},
        },
        "color": _METHOD,
    }
    mark = {"type": "line", "strokeWidth": 2, "interpolate": "step-after"}
    return _panels(ranks, "kind", {"width": 330, "height": 240, "mark": mark, "encoding": encoding})


def on_both_sets(sets: pl.DataFrame) -> Chart:
    """Every ranking on every test set with intervals, a panel per metric."""
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


def cost_and_quality(rows: pl.DataFrame, metric: str) -> Chart:
    """Seconds per user against a metric, a point per method."""
    seconds = {"field": "seconds_per_user", "type": "quantitative", "title": "seconds per user"}
    scale, axis = {"type": "log", "nice": False, "padding": 40}, {"tickCount": 6, "labelOverlap": "greedy"}
    encoding = {
        "x": {**seconds, "scale": scale, "axis": axis},
        "y": {"field": "mean", "type": "quantitative", "title": metric},
        "color": _METHOD,
    }
    mark = {"type": "point", "filled": True, "size": 90, "opacity": 1}
    return {"data": {"values": rows.to_dicts()}, "width": 460, "height": 240, "mark": mark, "encoding": encoding}


def right_by_confidence(calibration: pl.DataFrame) -> Chart:
    """How often the item named first is the truth, by stated confidence."""
    share = {
        "field": "right_share",
        "type": "quantitative",
        "title": "share that is right",
        "scale": {"domain": [0, 1]},
    }
    confidence = {"field": "confidence", "type": "quantitative", "title": "stated confidence"}
    encoding = {"x": {**confidence, "scale": {"domain": [1, 10]}}, "y": share, "color": _METHOD}
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
