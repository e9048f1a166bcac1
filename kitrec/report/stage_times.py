"""Where stages stand on the timeline: by the clock where their ledgers have a start, else one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PAUSE = 60.0  # seconds: a longer time in which no stage ran is cut out

Ledgers = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Bar:
    """A stage from `start` to `end` in seconds of the timeline, and when it began (UTC; empty where unknown)."""

    stage: str
    start: float
    end: float
    began: str


def stage_bars(ledgers: Ledgers, order: Sequence[str]) -> list[Bar]:
    """Return all stages: those without a start in the order of the pipeline, then the others by the clock."""
    position = {stage: k for k, stage in enumerate(order)}
    listed = sorted(ledgers, key=lambda name: (position.get(name.partition("-")[0], len(order)), name))
    bars, end = list[Bar](), 0.0
    for name in listed:
        if "start" not in ledgers[name]:
            bars.append(Bar(name, end, end := end + ledgers[name]["seconds"], ""))
    return bars + _by_the_clock({name: ledgers[name] for name in listed if "start" in ledgers[name]}, end)


def _by_the_clock(ledgers: Ledgers, origin: float) -> list[Bar]:
    """Return stages by their starts, the first at `origin`, with long pauses cut out."""
    began = {name: datetime.fromisoformat(cost["start"]).astimezone(UTC) for name, cost in ledgers.items()}
    bars, latest, shift = list[Bar](), None, 0.0
    for name in sorted(began, key=lambda name: began[name]):
        start = began[name].timestamp()
        if latest is None:
            shift = start - origin
        elif start - latest > PAUSE:
            shift += start - latest
        end = start + ledgers[name]["seconds"]
        latest = end if latest is None else max(latest, end)
        bars.append(Bar(name, start - shift, end - shift, f"{began[name]:%Y-%m-%d %H:%M:%S}"))
    return bars


def most_at_once(bars: Sequence[Bar]) -> int:
    """Return how many stages ran at the same time, at most."""
    ends = sorted((moment, step) for bar in bars for moment, step in ((bar.start, 1), (bar.end, -1)))
    running = most = 0
    for _, step in ends:  # at the same moment an end comes before a start
        running += step
        most = max(most, running)
    return most
