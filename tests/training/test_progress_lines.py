"""Progress where the output is no terminal: a line now and then, with the time left by hand."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from kitrec.training import progress
from kitrec.training.progress import ProgressBar


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def lines(clock: Clock, *, terminal: bool, disable: bool = False) -> list[str]:
    """What a bar of six rounds prints: the first after a minute, the second ten seconds later, the third at last."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    bar = ProgressBar(Progress(console=console, get_time=clock.monotonic, disable=disable, auto_refresh=False))
    bar.update("titles", 0, 6)
    for seconds, completed in ((60, 2), (10, 3), (50, 4)):
        clock.now += seconds
        bar.update("titles", completed, 6, f"round {completed}")
    return console.file.getvalue().splitlines()


def test_a_log_gets_a_line_every_half_minute_with_what_is_left(clock):
    """Two of six rounds in 60 s leave 4 x 30 s; four of six in 120 s leave 2 x 30 s."""
    assert lines(clock, terminal=False) == [
        "titles: 2 of 6, about 2 min left  round 2",
        "titles: 4 of 6, about 1 min left  round 4",
    ]


def test_a_terminal_has_the_bar_and_a_hidden_bar_prints_nothing(clock):
    assert lines(clock, terminal=True) == []
    assert lines(clock, terminal=False, disable=True) == []
