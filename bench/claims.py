"""Claims of a benchmark with their bars: written as JSON, shown as a table, rendered into the docs."""

import datetime
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.render import RESULTS, render
from kitrec.core import files


@dataclass(frozen=True)
class Claim:
    """A measured value and its bar; `peer` names what it is compared with."""

    claim: str
    value: float
    unit: str
    bar: str
    holds: bool
    peer: str
    repeats: int
    spread: str
    command: str
    date: str


def at_most(text: str, value: float, limit: float, unit: str, command: str, **more: Any) -> Claim:
    """Claim that a value is at most its bar."""
    return _claim(text, value, unit, f"≤ {limit:g} {unit}", value <= limit, command, **more)


def at_least(text: str, value: float, limit: float, unit: str, command: str, **more: Any) -> Claim:
    """Claim that a value, often a ratio, reaches its bar."""
    return _claim(text, value, unit, f"≥ {limit:g} {unit}", value >= limit, command, **more)


def _claim(text: str, value: float, unit: str, bar: str, holds: bool, command: str, **more: Any) -> Claim:
    today = datetime.date.today().isoformat()
    about = {"peer": "", "repeats": 1, "spread": "", **more}
    return Claim(text, float(f"{value:.4g}"), unit, bar, holds, command=command, date=today, **about)


def publish(name: str, claims: list[Claim], details: dict[str, Any], about: str = "") -> None:
    """Write bench/results/<name>.json, print the table and render the docs; `about` describes the setting there."""
    machine = f"{platform.processor() or platform.machine()}, {platform.system()}, {_cores()} cores"
    document = {"name": name, "machine": machine, "claims": [asdict(c) for c in claims], "details": details}
    document |= {"about": about} if about else {}
    files.write_json(document, RESULTS / f"{name}.json")
    table = Table("claim", "value", "bar", "holds")
    for c in claims:
        table.add_row(c.claim, f"{c.value} {c.unit}", c.bar, "yes" if c.holds else "[red]no")
    Console().print(table)
    render()


def _cores() -> int:
    return len(os.sched_getaffinity(0))
