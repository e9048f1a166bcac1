"""What a person sees of a training: a bar over its epochs with the newest numbers and the time left."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from kitrec.recommenders.sequence_training import JUDGED_BY, Progress, judged_by


@contextmanager
def bar(name: str, epochs: int, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A listener of `fit`; the time left is that of all planned epochs, a training may well stop before."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Bar(*columns, disable=quiet) as shown:
        task = shown.add_task(name, total=epochs, told="")

        def advance(progress: Progress) -> None:
            name = next(filter(None, map(judged_by, progress.rows)), JUDGED_BY)
            best = f", best {name} {progress.best:.4f}" if math.isfinite(progress.best) else ""
            told = f"epoch {progress.epoch}: loss {progress.rows[-1]['loss']:.4f}{best}"
            shown.update(task, completed=progress.epoch, told=told)

        yield advance
