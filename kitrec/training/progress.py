"""Progress bars on the terminal, with the latest metrics and the estimated time left; in a log, a line now and then."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from kitrec.training.state import Progress

SECONDS_BETWEEN_LINES = 30.0


class ProgressBar:
    """A progress bar with one line per name; where the output is no terminal, lines at most every half minute."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}
        self._printed = time.monotonic()

    def update(self, name: str, completed: float, total: int, text: str = "") -> None:
        """Set the completed part of a line."""
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total, text="")
        self._bar.update(self._tasks[name], completed=completed, text=text)
        due = time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES
        if due and completed and not self._bar.disable and not self._bar.console.is_terminal:
            self._print_line(name, completed, total, text)

    def _print_line(self, name: str, completed: float, total: int, text: str) -> None:
        self._printed = time.monotonic()
        elapsed = next(task.elapsed or 0.0 for task in self._bar.tasks if task.id == self._tasks[name])
        minutes = elapsed * (total - completed) / completed / 60
        self._bar.console.print(f"{name}: {completed:g} of {total}, about {minutes:.0f} min left  {text}".rstrip())


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[ProgressBar]:
    """Show a bar on the terminal; `quiet` hides it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, disable=quiet) as bar:
        yield ProgressBar(bar)


@contextmanager
def training_bar(
    name: str, epochs: int, metric: str, *, quiet: bool, unit: str = "epoch"
) -> Iterator[Callable[[Progress], None]]:
    """Yield an `on_epoch_end` callback that shows the latest epoch; the time left assumes that no epoch is skipped."""
    with progress_bar(quiet=quiet) as bar:
        bar.update(name, 0, epochs)

        def on_epoch_end(progress: Progress) -> None:
            bar.update(name, progress.epoch, epochs, latest_metrics(progress, metric, unit))

        yield on_epoch_end


@contextmanager
def stages_bar(
    epochs: int, metric: str, *, quiet: bool, unit: str = "epoch"
) -> Iterator[Callable[[str, Progress], None]]:
    """Yield a callback for trainings one after the other, each with its name and its line."""
    with progress_bar(quiet=quiet) as bar:
        yield lambda name, progress: bar.update(name, progress.epoch, epochs, latest_metrics(progress, metric, unit))


@contextmanager
def count_bar(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Yield a callback that advances the bar by a number of finished records."""
    done = 0
    with progress_bar(quiet=quiet) as bar:
        bar.update(name, 0, total)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            bar.update(name, done, total)

        yield advance


def latest_metrics(progress: Progress, metric: str, unit: str = "epoch") -> str:
    """Return the newest row as text: epoch 3: loss 2.1031, ndcg@10 0.0345, best 0.0351."""
    row = progress.rows[-1]
    text = f"{unit} {row[unit]:.0f}: loss {row['loss']:.4f}"
    if metric in row:
        text += f", {metric} {row[metric]:.4f}"
    if math.isfinite(progress.best):
        text += f", best {abs(progress.best):.4f}"
    return text
