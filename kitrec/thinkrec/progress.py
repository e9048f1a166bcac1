"""What a person sees of a stage: bars over its updates with the newest AUC and the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from kitrec.thinkrec.checkpoint import Progress
from kitrec.thinkrec.params import TrainingConfig


@contextmanager
def bar(training: TrainingConfig, *, quiet: bool) -> Iterator[Callable[[str, Progress], None]]:
    """A listener of a stage's parts, each with a line of its own; a part may well stop before its last update."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Bar(*columns, disable=quiet) as shown:

        def advance(part: str, progress: Progress) -> None:
            if part not in tasks:
                tasks[part] = shown.add_task(part, total=training.updates, told="")
            row = progress.rows[-1]
            told = f"loss {row['loss']:.4f}, AUC {row['auc']:.4f}, best {progress.best:.4f}"
            shown.update(tasks[part], completed=row["updates"], told=told)

        yield advance
