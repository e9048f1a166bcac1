"""Vega-Lite specifications of charts about a run: costs, timeline, training, calibration, failures, strata."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from kitrec.report.chart_parts import HEIGHT, WIDTH, Chart, axis_top, colour, legend, name_places, shape, tooltip
from kitrec.report.palette import SEQUENTIAL, Method

# Kinds of stages; lightness separates them in print.
STAGE_COLOURS = {"data": "#7d7d7d", "training": "#0078c8", "inference": "#d55e00", "evaluation": "#009e73"}
STATUS_COLOURS = ("#009e73", "#a07a00", "#d55e00", "#c767a5", "#7a5cd6")


def quality_cost_chart(drawn: Sequence[Method], rows: pl.DataFrame, metric: str) -> Chart:
    """Return a metric over seconds per user, a named point per method."""
    points = rows.to_dicts()
    values = {row["method"]: row["mean"] for row in points}
    top = axis_top(max(values.values()))
    places = name_places(values, top, HEIGHT)
    points = [{**row, "place": places[row["method"]]} for row in points]
    seconds: dict[str, Any] = {
        "field": "seconds_per_user",
        "type": "quantitative",
        "title": "seconds of inference per user",
    }
    x = {**seconds, "scale": {"type": "log", "nice": False, "padding": 60}}
    x["axis"] = {"tickCount": 6, "labelOverlap": "greedy", "format": ".2~g", "grid": False}
    y: dict[str, Any] = {"type": "quantitative", "title": metric, "scale": {"domain": [0, top]}}
    shared = {"x": x, "color": colour(drawn)}
    shown = [{"field": "method"}, {"field": "mean", "format": ".3f"}, {"field": "seconds_per_user", "format": ".4g"}]
    point: dict[str, Any] = {**shared, "y": {**y, "field": "mean"}, "shape": shape(drawn), "tooltip": shown}
    layers = [
        {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1}, "encoding": point},
        {
            "mark": {"type": "text", "align": "left", "dx": 9, "fontSize": 12},
            "encoding": {**shared, "y": {**y, "field": "place"}, "text": {"field": "method"}},
        },
    ]
    return {"data": {"values": points}, "width": WIDTH, "height": HEIGHT, "layer": layers}


def confidence_share_chart(drawn: Sequence[Method], rows: pl.DataFrame) -> Chart:
    """Return how often every confidence is stated: a method that always says nine is one bar."""
    encoding = {
        "x": _confidence_axis(),
        "xOffset": {"field": "method"},
        "y": {"field": "share", "type": "quantitative", "title": "share of answers", "scale": {"domain": [0, 1]}},
        "color": legend(colour(drawn), rows["method"]),
        "tooltip": [{"field": "method"}, {"field": "confidence"}, {"field": "n"}, {"field": "share", "format": ".3f"}],
    }
    values = {"values": rows.to_dicts()}
    return {"data": values, "width": WIDTH, "height": HEIGHT, "mark": {"type": "bar"}, "encoding": encoding}


def calibration_chart(drawn: Sequence[Method], rows: pl.DataFrame) -> Chart:
    """Return the accuracy of the first item by stated confidence with intervals, beside what a calibrated one has."""
    y: dict[str, Any] = {"type": "quantitative", "title": "first item right", "scale": {"domain": [0, 1]}}
    named = legend(colour(drawn), rows["method"])
    shared = {"x": _confidence_axis(), "xOffset": {"field": "method"}, "color": named}
    ideal = [{"confidence": level, "ideal": level / 10} for level in range(1, 11)]
    point: dict[str, Any] = {
        **shared,
        "y": {**y, "field": "mean"},
        "shape": legend(shape(drawn), rows["method"]),
        "tooltip": tooltip("method", "confidence", "n"),
    }
    layers = [
        {
            "data": {"values": ideal},
            "mark": {"type": "line", "strokeDash": [4, 4], "opacity": 0.7},
            "encoding": {"x": _confidence_axis(), "y": {**y, "field": "ideal"}},
        },
        {"mark": {"type": "rule"}, "encoding": {**shared, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
        {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1}, "encoding": point},
    ]
    return {"data": {"values": rows.to_dicts()}, "width": WIDTH, "height": HEIGHT, "layer": layers}


def timeline_chart(rows: pl.DataFrame) -> Chart:
    """Return stages as bars from start to end."""
    scale = {"domain": list(STAGE_COLOURS), "range": list(STAGE_COLOURS.values())}
    shown = [{"field": name} for name in ("stage", "start (UTC)", "seconds", "CPU seconds", "peak MiB", "throughput")]
    y = {"field": "stage", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 260}}
    encoding = {
        "y": y,
        "x": {"field": "start", "type": "quantitative", "title": "seconds since the start"},
        "x2": {"field": "end"},
        "color": {"field": "kind", "type": "nominal", "title": None, "scale": scale},
        "tooltip": shown,
    }
    bar = {"mark": {"type": "bar", "cornerRadius": 2, "minBandSize": 4}, "encoding": encoding}
    text = {
        "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11},
        "encoding": {"y": y, "x": {"field": "end", "type": "quantitative"}, "text": {"field": "label"}},
    }
    values = {"values": rows.to_dicts()}
    return {"data": values, "width": WIDTH * 2, "height": 20 * rows.height, "layer": [bar, text]}


def loss_chart(rows: pl.DataFrame, x_title: str) -> Chart:
    """Return curves of training: `series` by dash, a point where there is only one value."""
    encoding = {
        "x": {"field": "step", "type": "quantitative", "title": x_title},
        "y": {"field": "value", "type": "quantitative", "title": "loss", "scale": {"zero": False}},
        "strokeDash": {"field": "series", "type": "nominal", "title": None},
        "tooltip": [{"field": "series"}, {"field": "step"}, {"field": "value", "format": ".4f"}],
    }
    mark = {"type": "line", "color": STAGE_COLOURS["training"], "strokeWidth": 2}
    mark |= {"point": {"color": STAGE_COLOURS["training"], "size": 25}} if rows.height < 60 else {}
    return {"data": {"values": rows.to_dicts()}, "width": WIDTH, "height": 170, "mark": mark, "encoding": encoding}


def failures_chart(rows: pl.DataFrame, statuses: Sequence[str]) -> Chart:
    """Return shares of answers by parse status, a bar per method."""
    scale = {"domain": list(statuses), "range": list(STATUS_COLOURS[: len(statuses)])}
    encoding = {
        "y": {"field": "method", "type": "nominal", "title": None, "axis": {"labelLimit": 260}},
        "x": {"field": "share", "type": "quantitative", "title": "share of answers", "scale": {"domain": [0, 1]}},
        "color": {"field": "status", "type": "nominal", "title": None, "scale": scale},
        "order": {"field": "order"},
        "tooltip": [{"field": "method"}, {"field": "status"}, {"field": "share", "format": ".4f"}],
    }
    values = {"values": rows.to_dicts()}
    return {
        "data": values,
        "width": WIDTH,
        "height": 34 * rows["method"].n_unique(),
        "mark": "bar",
        "encoding": encoding,
    }


def strata_chart(rows: pl.DataFrame, strata: Sequence[str], metrics: Sequence[str]) -> Chart:
    """Return a heat map of means, methods by strata; a control chooses the metric; n and interval on hover."""
    x: dict[str, Any] = {"field": "method", "type": "nominal", "title": None, "sort": None}
    x["axis"] = {"orient": "top", "labelAngle": -30}
    y = {"field": "stratum", "type": "nominal", "title": None, "sort": list(strata), "axis": {"labelLimit": 260}}
    top = {"domain": [0, 1], "scheme": SEQUENTIAL}
    rect = {"color": {"field": "mean", "type": "quantitative", "title": None, "scale": top}}
    dark = {"condition": {"test": "datum.mean > 0.55", "value": "white"}, "value": "black"}
    shown = tooltip("stratum", "method", "n", "few")
    layers = [
        {"mark": {"type": "rect"}, "encoding": {"x": x, "y": y, **rect, "tooltip": shown}},
        {
            "mark": {"type": "text", "fontSize": 11},
            "encoding": {"x": x, "y": y, "text": {"field": "mean", "format": ".2f"}, "color": dark, "tooltip": shown},
        },
    ]
    choice = {"name": "metric", "value": metrics[0], "bind": {"input": "select", "options": list(metrics)}}
    return {
        "data": {"values": rows.to_dicts()},
        "params": [choice],
        "transform": [{"filter": "datum.metric == metric"}],
        "width": WIDTH * 2,
        "height": 19 * len(strata),
        "layer": layers,
    }


def _confidence_axis() -> dict[str, Any]:
    axis, scale = {"labelAngle": 0}, {"domain": list(range(1, 11))}
    return {"field": "confidence", "type": "ordinal", "title": "stated confidence", "axis": axis, "scale": scale}
