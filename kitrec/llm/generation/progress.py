"""What a person sees while records are answered: how many of how many, and the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def answering_bar(count: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Told of so many more that are answered."""
    columns = (TextColumn("{task.completed}/{task.total} answered"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=quiet) as shown:
        task = shown.add_task("", total=count)
        yield lambda more: shown.advance(task, more)
