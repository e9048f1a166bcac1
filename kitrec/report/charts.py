"""Charts of the report as SVG inside the page: vega-lite, drawn by vl-convert without a network."""

from typing import Any

import polars as pl
import vl_convert

_CORES = ["1", "2", "3", "4", "5-9", "10+"]
_GREY = "#888888"  # readable on light and on dark
_CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _GREY,
        "titleColor": _GREY,
        "gridColor": "#88888833",
        "domainColor": _GREY,
        "tickColor": _GREY,
    },
    "legend": {"labelColor": _GREY, "titleColor": _GREY, "orient": "bottom", "columns": 4},
    "header": {"labelColor": _GREY, "titleColor": _GREY},
    "range": {"category": {"scheme": "tableau10"}},
}


def by_core(cells: pl.DataFrame, metric: str) -> str:
    """A metric of all scored rankings by core, with intervals, a panel per target domain."""
    own = cells.filter(stratum="domain_core", metric=metric, kind="scored")
    place = pl.col("member").str.split(" ").list
    rows = own.select("method", place.get(0).alias("target"), place.get(1).alias("core"), "mean", "low", "high", "n")
    x = {"field": "core", "type": "ordinal", "sort": _CORES, "title": "target interactions", "axis": {"labelAngle": 0}}
    mean = {"field": "mean", "type": "quantitative", "title": metric}
    shared = {"x": x, "color": {"field": "method", "type": "nominal", "title": None}}
    layers = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {**shared, "y": mean}},
        {"mark": {"type": "point", "filled": True, "size": 45}, "encoding": {**shared, "y": mean}},
        {
            "mark": {"type": "rule", "opacity": 0.4, "strokeWidth": 2},
            "encoding": {**shared, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        },
    ]
    facet = {"column": {"field": "target", "title": None}}
    return _svg(rows, {"facet": facet, "spec": {"width": 330, "height": 240, "layer": layers}})


def cost_and_quality(rows: pl.DataFrame, metric: str) -> str:
    """Seconds per user against a metric, a point per method."""
    encoding = {
        "x": {
            "field": "seconds_per_user",
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": "seconds per user",
        },
        "y": {"field": "mean", "type": "quantitative", "title": metric},
        "color": {"field": "method", "type": "nominal", "title": None},
    }
    text = {"mark": {"type": "text", "dy": -12, "color": _GREY}, "encoding": {**encoding, "text": {"field": "method"}}}
    point = {"mark": {"type": "point", "filled": True, "size": 90}, "encoding": encoding}
    return _svg(rows, {"width": 460, "height": 240, "layer": [point, text]})


def _svg(rows: pl.DataFrame, chart: dict[str, Any]) -> str:
    return vl_convert.vegalite_to_svg({"data": {"values": rows.to_dicts()}, "config": _CONFIG, **chart})
