"""The report as one self-contained HTML page: no network, switches, charts and tables by its own script.

The page may load nothing and run only the scripts that it was made with (Content-Security-Policy with their hashes):
should a text of a run ever become markup, it could not act."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kitrec.report.chart_parts import Chart
from kitrec.report.rendering import page_styles, script_json, vega_bundle
from kitrec.report.users import People

_JOINED = re.compile(" (?:and|by|against) ")
_WORDS = re.compile(r"\s*[^\W\d]")
FOLDER = Path(__file__).parent
STYLES = ("style.css", "explorer.css", "print.css")


@dataclass(frozen=True)
class Layout:
    """The first screen of a page, and the scripts that the page runs."""

    template: str
    scripts: Sequence[str]
    explorer: bool  # whether users are shown behind the questions


_SHARED = ("dom.js", "tables.js", "charts.js", "switches.js")
RUN = Layout("answer.html.j2", (*_SHARED, "answer.js", "explorer.js", "start.js"), explorer=True)
COMPARISON = Layout("differences.html.j2", (*_SHARED, "differences.js", "start.js"), explorer=False)


@dataclass(frozen=True)
class Example:
    """A text of a record that illustrates a section."""

    title: str
    record_id: str
    text: str


@dataclass(frozen=True)
class Section:
    """A heading, an introduction, and tables or charts; sections with a question come before the user explorer."""

    title: str
    text: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    chart: Chart | None = None
    collapsed: bool = False
    question: str = ""
    finding: str = ""
    panels: Mapping[str, Chart] = field(default_factory=dict)  # label -> chart, side by side
    examples: Sequence[Example] = ()

    @property
    def short(self) -> str:
        """Return what navigation calls the section."""
        return self.title.partition(" ")[0] if self.title.startswith("RQ") else _JOINED.split(self.title)[0]

    @property
    def text_columns(self) -> list[bool]:
        """Return for every column whether it holds words, not numbers."""
        return [any(_WORDS.match(row[k]) for row in self.rows) for k in range(len(self.columns))]

    @property
    def name(self) -> str:
        """Return the file name of the chart, and the section's place on the page."""
        return _file_name(self.title)

    @property
    def charts(self) -> dict[str, tuple[str, Chart]]:
        """Return file name -> label and chart."""
        panels = {f"{self.name}_{_file_name(label)}": (label, chart) for label, chart in self.panels.items()}
        return panels if self.chart is None else {self.name: (self.title, self.chart), **panels}


@dataclass(frozen=True)
class Report:
    """Contents of the page."""

    title: str
    facts: dict[str, str]
    sections: list[Section]
    screen: Mapping[str, Any] | None = None  # first_screen.py, or of a comparison differences_screen.py
    history_chart: Chart | None = None
    method_note: str = ""
    people: People | None = None
    layout: Layout = RUN

    @property
    def answer(self) -> list[str]:
        """Return the sentences of the first view."""
        if self.screen is None:
            return []
        chosen, view = self.screen["chosen"], next(iter(self.screen["views"].values()))
        return list(view["answers"][chosen["kind"]][chosen["metric"]]["sentences"])


def page(report: Report) -> str:
    """Return the page; all texts are escaped, data stand in script elements as JSON that no text can close."""
    library, script = vega_bundle(), f'(() => {{\n"use strict";\n{assets(report.layout.scripts)}}})();\n'
    questions = [section for section in report.sections if section.question]
    return render(
        "page.html.j2",
        report=report,
        screen=report.screen,
        explorer_at=len(questions) if report.layout.explorer else None,
        policy=_policy(library, script),
        style=assets(STYLES),
        chart_styles=page_styles(),
        library=library,
        script=script,
    )


def render(template: str, **content: Any) -> str:
    """Return a page by a template of this folder, whose texts are escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"script_json": script_json, "pair": lambda value: (value, value)}
    return environment.get_template(template).render(content)


def _policy(*scripts: str) -> str:
    """Return what the page may do: run these scripts, and draw (Vega compiles its expressions)."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"


def assets(names: Sequence[str]) -> str:
    """Return style sheets or scripts one after another."""
    return "".join((FOLDER / "assets" / name).read_text(encoding="utf-8") for name in names)


def _file_name(title: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in title.lower()).strip("_")
