"""The report as one self-contained HTML page: no network, sortable tables, keyboard access, light and dark."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kitrec.report.charts import Chart
from kitrec.report.rendering import render_for_page


@dataclass(frozen=True)
class Section:
    """A heading, an introduction, and a table or chart."""

    title: str
    text: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    chart: Chart | None = None
    collapsed: bool = False

    @property
    def name(self) -> str:
        """Return the file name of the chart."""
        return self.title.lower().replace(" ", "_")


@dataclass(frozen=True)
class Example:
    """One user: history, candidates, answer and held-out item."""

    title: str
    history: list[str]
    candidates: list[str]
    answer: str
    ground_truth: str


@dataclass(frozen=True)
class Report:
    """Contents of the page."""

    title: str
    facts: dict[str, str]
    sections: list[Section]
    examples: list[Example]


def page(report: Report) -> str:
    """Return the page; all text is escaped except the charts, which are rendered here."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["render"] = render_for_page
    return environment.get_template("page.html.j2").render(report=report)
