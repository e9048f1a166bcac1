"""Rendering of charts by vl-convert, which needs no network: for the page, and as files for papers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vl_convert

from kitrec.core import files
from kitrec.report.charts import Chart

PAPER_PPI = 300
_COLOURS = (  # ten distinct colours, and a darker variant of each for more methods
    "4c78a8 f58518 e45756 72b7b2 54a24b eeca3b b279a2 ff9da6 9d755d 8a8a8a "
    "1f3b5c 9c4f00 8f1d26 2d6b66 255c1f 8f7600 5f3a58 b0405a 523628 222222"
)


def render_for_page(chart: Chart) -> str:
    """Return a chart as SVG for the page, in a grey that is readable on light and dark."""
    return vl_convert.vegalite_to_svg(chart, config=_style("#888888", "#88888833", "transparent"))


def write_figures(charts: Mapping[str, Chart], folder: Path) -> None:
    """Write every chart (name -> chart) as SVG and PNG, black on white; other files in the folder are removed."""
    style = _style("black", "#dddddd", "white")
    with files.atomic(folder) as draft:
        draft.mkdir()
        for name, chart in charts.items():
            svg = vl_convert.vegalite_to_svg(chart, config=style)
            (draft / f"{name}.svg").write_text(svg, encoding="utf-8")
            (draft / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(chart, config=style, ppi=PAPER_PPI))


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
        "legend": {**text, "orient": "bottom", "columns": 5, "labelLimit": 0},
        "header": text,
        "range": {"category": [f"#{colour}" for colour in _COLOURS.split()]},
    }
