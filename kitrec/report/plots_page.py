"""Page template of `dvc plots show` with an embedded chart library, so that it works without a network.

DVC's own template loads Vega from a public server; here the library is the one bundled with vl-convert. The page looks
like the report: its style sheet, and the colour, shape and dash of every method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.report.page import assets, render
from kitrec.report.palette import COLOURS, Method, methods
from kitrec.report.rendering import page_styles, vega_bundle


def write_plots_page(path: Path, drawn: Sequence[Method] = ()) -> None:
    """Write the template that `dvc config plots.html_template` names; `drawn` are the methods of the run."""
    styles = {name: _style(style) for name, style in page_styles().items()}
    script = assets(("dom.js", "plots.js"))
    page = render(
        "plots_page.html.j2",
        style=assets(("style.css",)),
        chart_styles=styles,
        methods=_looks(drawn),
        library=vega_bundle(),
        script=f'(() => {{\n"use strict";\n{script}}})();\n',
    )
    with files.atomic(path) as draft:
        draft.write_text(page, encoding="utf-8")


def _style(style: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report's style with its colours for what is no method, and headings above the parts of a panel."""
    header = {**style["header"], "labelFontSize": 13, "labelFontWeight": "bold"}
    axis = {**style["axis"], "labelSeparation": 6}
    return {**style, "axis": axis, "header": header, "range": {"category": list(COLOURS)}, "facet": {"spacing": 30}}


def _looks(drawn: Sequence[Method]) -> dict[str, Any]:
    """Return how each method is drawn, and what is left for methods that the run does not list."""
    names = [f"spare {k}" for k in range(sum(method.role == "learned" for method in drawn) + len(COLOURS))]
    spare = methods(names, dict.fromkeys(names, "learned"))[-len(COLOURS) :]
    return {"methods": {method.name: _look(method) for method in drawn}, "spare": [_look(method) for method in spare]}


def _look(method: Method) -> dict[str, Any]:
    """Return what Vega-Lite's channels of these names are for a method."""
    return {"color": method.colour, "shape": method.shape, "strokeDash": method.dash}
