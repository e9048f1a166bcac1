"""One HTML page that holds the whole report: no network, no second file; sortable, by keyboard too, light and dark."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kitrec.report.charts import Chart
from kitrec.report.rendering import on_page


@dataclass(frozen=True)
class Section:
    """A heading, what to know before reading, and what there is to read."""

    title: str
    text: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    chart: Chart | None = None
    folded: bool = False

    @property
    def name(self) -> str:
        """What the file of its chart is called."""
        return self.title.lower().replace(" ", "_")


@dataclass(frozen=True)
class Example:
    """One user: what was known, what was offered, what was written, what was true."""

    title: str
    history: list[str]
    candidates: list[str]
    answer: str
    truth: str


@dataclass(frozen=True)
class Report:
    """Everything the page shows."""

    title: str
    facts: dict[str, str]
    sections: list[Section]
    examples: list[Example]


def page(report: Report) -> str:
    """The page; all text is escaped but the charts, which are made here."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["drawn"] = on_page
    return environment.get_template("page.html.j2").render(report=report)
