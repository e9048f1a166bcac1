"""What a benchmark leaves behind: claims with their bars, as JSON, a table on the screen and a page of the docs."""

import datetime
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kitrec.core import files

RESULTS = Path("bench/results")


@dataclass(frozen=True)
class Claim:
    """A measured number beside its bar; `peer` names what it is a ratio to, if it is one."""

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
    """A claim that a value stays under its bar."""
    return _claim(text, value, unit, f"≤ {limit:g} {unit}", value <= limit, command, **more)


def at_least(text: str, value: float, limit: float, unit: str, command: str, **more: Any) -> Claim:
    """A claim that a value (a ratio, mostly) reaches its bar."""
    return _claim(text, value, unit, f"≥ {limit:g} {unit}", value >= limit, command, **more)


def _claim(text: str, value: float, unit: str, bar: str, holds: bool, command: str, **more: Any) -> Claim:
    today = datetime.date.today().isoformat()
    about = {"peer": "", "repeats": 1, "spread": "", **more}
    return Claim(text, float(f"{value:.4g}"), unit, bar, holds, command=command, date=today, **about)


def publish(name: str, claims: list[Claim], details: dict[str, Any], about: str = "") -> None:
    """Write bench/results/<name>.json, show the table, render docs/benchmarks.md anew; `about` stands above."""
    machine = f"{platform.processor() or platform.machine()}, {platform.system()}, {_cores()} cores"
    document = {"name": name, "machine": machine, "claims": [asdict(c) for c in claims], "details": details}
    document |= {"about": about} if about else {}
    files.write_json(document, RESULTS / f"{name}.json")
    table = Table("claim", "value", "bar", "holds")
    for c in claims:
        table.add_row(c.claim, f"{c.value} {c.unit}", c.bar, "yes" if c.holds else "[red]no")
    Console().print(table)
    from bench.render import render

    render()


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))
