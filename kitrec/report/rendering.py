"""Rendering of charts by Vega: in the page by its own JavaScript, as files for papers by vl-convert; no network."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from kitrec.core import files
from kitrec.report.chart_parts import Chart

PAPER_PPI = 300


@cache
def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that loads nothing."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def page_styles() -> dict[str, Any]:
    """Return the configuration of charts on the page, whose style sheet names the colours, and in exported files."""
    return {"page": _style("var(--ink)", "var(--line)", "transparent"), "file": _style("black", "#dddddd", "white")}


def write_figures(charts: Mapping[str, Chart], folder: Path) -> None:
    """Write every chart (name -> chart) as SVG and PNG, black on white; other files in the folder are removed."""
    style = _style("black", "#dddddd", "white")
    with files.atomic(folder) as draft:
        draft.mkdir()
        for name, chart in charts.items():
            svg = vl_convert.vegalite_to_svg(chart, config=style)
            (draft / f"{name}.svg").write_text(svg, encoding="utf-8")
            (draft / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(chart, config=style, ppi=PAPER_PPI))


def script_json(data: Any) -> str:
    """Return JSON for a script element: no text in it can close the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _style(ink: str, grid: str, background: str) -> dict[str, Any]:
    text = {
        "labelColor": ink,
        "titleColor": ink,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    return {
        "background": background,
        "font": "system-ui, Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {**text, "gridColor": grid, "domainColor": ink, "tickColor": ink, "labelFlush": False},
        "legend": {**text, "orient": "bottom", "columns": 4, "labelLimit": 0},
        "header": text,
        "mark": {"color": ink},
        "rule": {"color": ink},
        "text": {"color": ink},
    }
