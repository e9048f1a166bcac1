"""What a person sees of a teacher's training: a bar over its stretches with the newest losses and the time left."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from kitrec.ilora.params import TrainingConfig
from kitrec.recommenders.sequence_training import Progress


@contextmanager
def bar(name: str, tasks: int, course: TrainingConfig, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A listener of `learn`; the time left is that of all planned updates, a training may well stop before."""
    updates = course.epochs * math.ceil(tasks / (course.batch_size * course.gradient_accumulation_steps))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Bar(*columns, disable=quiet) as shown:
        task = shown.add_task(name, total=math.ceil(updates / course.validate_every), told="")

        def advance(progress: Progress) -> None:
            row = progress.rows[-1]
            told = f"update {row['update']}: loss {row['loss']:.4f}, val_loss {row['val_loss']:.4f}"
            shown.update(task, completed=progress.epoch, told=f"{told}, best {-progress.best:.4f}")

        yield advance
