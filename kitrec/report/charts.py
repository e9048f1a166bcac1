"""Vega-Lite specifications of the charts of results; rendering.py sets their style on the page and in papers.

Every chart draws a method with its fixed colour (palette.py); names stand beside the lines where there is room. The
chart of the first screen has no data: the page fills in `rows`, `names` and `top` when a switch is used."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from kitrec.report.chart_parts import (
    HEIGHT,
    TALL,
    WIDTH,
    Chart,
    axis_reach,
    axis_top,
    colour,
    dash,
    legend,
    name_places,
    shape,
    tooltip,
)
from kitrec.report.palette import Method

CORES = ["1", "2", "3", "4", "5-9", "10+"]
BESIDE = " "  # the place behind the last core, where names stand
ROOM = {"left": 5, "top": 5, "right": 16, "bottom": 5}  # browsers draw names wider than Vega measures them
_ZERO = {"mark": {"type": "rule", "strokeDash": [3, 3], "aria": False}, "encoding": {"x": {"datum": 0}}}


def history_chart(drawn: Sequence[Method], title: str, top: float = 1.0, *, about_zero: bool = False) -> Chart:
    """Return a metric, or its difference, by the length of the target history with intervals; data: `rows`, and `names`
    at the ends."""
    axis = {"labelAngle": 0, "ticks": False}
    scale = {"domain": [*CORES, BESIDE], "paddingInner": 0.35}
    x = {"field": "core", "type": "ordinal", "title": "target interactions", "axis": axis, "scale": scale}
    ends = [{"expr": "-top"} if about_zero else 0, {"expr": "top"}]
    y: dict[str, Any] = {"type": "quantitative", "title": title, "scale": {"domain": ends}}
    order = {"field": "method", "sort": [method.name for method in drawn]}
    shared = {"x": x, "xOffset": order, "color": colour(drawn)}
    low, mean = {**y, "field": "low"}, {**y, "field": "mean"}
    shown = {"mark": {"type": "point", "filled": True, "size": 60, "opacity": 1}}
    names = {"x": x, "y": {**y, "field": "place"}, "color": colour(drawn), "text": {"field": "method"}}
    pointed = {
        "name": "pointed",
        "select": {"type": "point", "fields": ["method"], "on": "pointerover", "clear": "pointerout"},
    }
    shared["opacity"] = {"condition": {"param": "pointed", "value": 1}, "value": 0.12}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 0.7}, "encoding": {**shared, "y": low, "y2": {"field": "high"}}},
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {**shared, "y": mean, "strokeDash": dash(drawn)}},
        {**shown, "encoding": {**shared, "y": mean, "shape": shape(drawn), "tooltip": tooltip("method", "core", "n")}},
        {
            "data": {"name": "names"},
            "params": [pointed],
            "mark": {"type": "text", "align": "left", "dx": -14},
            "encoding": names,
        },
    ]
    layers = [{**_ZERO, "encoding": {"y": {"datum": 0}}}, *layers] if about_zero else layers
    params = [{"name": "top", "value": top}]
    return {
        "data": {"name": "rows"},
        "params": params,
        "padding": ROOM,
        "width": WIDTH,
        "height": TALL,
        "layer": layers,
    }


def filled_history_chart(drawn: Sequence[Method], title: str, rows: pl.DataFrame, *, about_zero: bool = False) -> Chart:
    """Return the chart by history with its data: method, core, mean, low, high, n."""
    top = axis_reach(rows) if about_zero else axis_top(float(rows["high"].max()))  # type: ignore[arg-type]  # a number
    places = history_names(rows, top, -top if about_zero else 0.0)
    names = [{"method": name, "core": BESIDE, "place": place} for name, place in places.items()]
    chart = history_chart(drawn, title, top, about_zero=about_zero)
    return chart | {"datasets": {"rows": rows.to_dicts(), "names": names}}


def history_names(rows: pl.DataFrame, top: float, bottom: float = 0.0) -> dict[str, float]:
    """Return where names stand beside the last point of each line, on an axis from `bottom` to `top`."""
    order = pl.col("core").replace_strict(CORES, range(len(CORES)), return_dtype=pl.Int64)
    ends = rows.group_by("method", maintain_order=True).agg(pl.col("mean").sort_by(order).last())
    return name_places(dict(ends.iter_rows()), top, TALL, bottom)


def hit_rate_chart(drawn: Sequence[Method], curves: pl.DataFrame) -> Chart:
    """Return the hit rate at every rank."""
    last = max(curves["rank"].to_list())
    x = {"field": "rank", "type": "quantitative", "title": "rank", "axis": {"tickMinStep": 1}}
    encoding = {
        "x": {**x, "scale": {"domain": [1, max(last, 2)], "nice": False}},
        "y": {"field": "hit_rate", "type": "quantitative", "title": "hit rate", "scale": {"domain": [0, 1]}},
        "color": legend(colour(drawn), curves["method"]),
        "strokeDash": legend(dash(drawn), curves["method"]),
        "tooltip": [{"field": "method"}, {"field": "rank"}, {"field": "hit_rate", "format": ".3f"}],
    }
    mark = {"type": "line", "strokeWidth": 2.5, "interpolate": "step-after"}
    return {
        "data": {"values": curves.to_dicts()}, "width": WIDTH, "height": HEIGHT, "mark": mark, "encoding": encoding
    }  # fmt: skip


def sets_chart(drawn: Sequence[Method], sets: pl.DataFrame, title: str) -> Chart:
    """Return the means of every ranking on every test set with intervals: colour is the method, shape the set."""
    rows = sets.with_columns(ranking=pl.format("{} ({})", "method", "kind"))
    names = sets["set"].unique().sort().to_list()
    shapes = {"domain": names, "range": ["circle", "diamond"][: len(names)]}
    shared = {
        "y": {"field": "ranking", "type": "nominal", "title": None, "sort": {"field": "mean", "order": "descending"}},
        "yOffset": {"field": "set", "type": "nominal"},
        "color": colour(drawn),
    }
    low = {"field": "low", "type": "quantitative", "title": title, "scale": {"domain": [0, 1]}}
    by_set = {"field": "set", "type": "nominal", "title": "test set", "scale": shapes, "legend": {}}
    mean = {**shared, "x": {"field": "mean", "type": "quantitative"}, "shape": by_set}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {**shared, "x": low, "x2": {"field": "high"}}},
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {**mean, "tooltip": tooltip("ranking", "set", "n")},
        },
    ]
    return {"data": {"values": rows.to_dicts()}, "width": WIDTH, "height": 15 * rows.height + 20, "layer": layers}


def differences_chart(rows: pl.DataFrame, title: str = "difference of means") -> Chart:
    """Return differences with their intervals about zero; `verdict` says what the test supports, `group` is a line."""
    verdicts = ["ahead", "not distinguishable", "behind"]
    scale = {"domain": verdicts, "range": ["triangle-right", "circle", "triangle-left"]}
    y = {"field": "group", "type": "nominal", "title": None, "sort": None}
    offset = {"field": "metric", "type": "nominal", "sort": None}
    x = {"type": "quantitative", "title": title, "axis": {"tickCount": 6}}
    shared = {"y": y, "yOffset": offset}
    mark = {"type": "point", "filled": True, "size": 80, "opacity": 1}
    fields = ["group", "metric", "difference", "low", "high", "p", "verdict"]
    shown = [
        {"field": name, "format": ".3f"} if name in ("difference", "low", "high") else {"field": name}
        for name in fields
    ]
    point = {"x": {**x, "field": "difference"}, "shape": {"field": "verdict", "scale": scale, "title": None}}
    text = {"x": {**x, "field": "high"}, "text": {"field": "metric"}}
    layers = [
        _ZERO,
        {"mark": "rule", "encoding": {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}}},
        {"mark": mark, "encoding": {**shared, **point, "tooltip": shown}},
        {"mark": {"type": "text", "align": "left", "dx": 6, "fontSize": 11}, "encoding": {**shared, **text}},
    ]
    return {"data": {"values": rows.to_dicts()}, "width": WIDTH, "height": 18 * rows.height + 20, "layer": layers}


def ablation_chart(rows: pl.DataFrame, title: str) -> Chart:
    """Return the 2x2: means with intervals of base and fine-tuned model, a line for thinking first or not."""
    x = {"field": "model", "type": "nominal", "title": None, "sort": ["base", "fine-tuned"], "axis": {"labelAngle": 0}}
    y = {"type": "quantitative", "title": title, "scale": {"zero": True}}
    by = {"field": "answer", "type": "nominal", "title": None}
    shared, quiet = {"x": x, "xOffset": by}, {**by, "legend": None}
    low = {**y, "field": "low"}
    layers = [
        {"mark": {"type": "rule", "opacity": 0.5}, "encoding": {**shared, "y": low, "y2": {"field": "high"}}},
        {"mark": {"type": "line"}, "encoding": {**shared, "strokeDash": quiet, "y": {**y, "field": "mean"}}},
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {**shared, "shape": by, "y": {**y, "field": "mean"}, "tooltip": tooltip("method", "n")},
        },
    ]
    return {"data": {"values": rows.to_dicts()}, "width": WIDTH, "height": HEIGHT, "layer": layers}
