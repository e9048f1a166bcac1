"""TensorBoard's view of a training: every number of every epoch, gates as val_gate/*, all settings under HPARAMS."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from kitrec.recommenders.sequence_training import JUDGED_BY, Progress, judged_by

BEST = f"best/{JUDGED_BY}"


def board(folder: Path, settings: Mapping[str, Any]) -> Callable[[Progress], None]:
    """A listener that writes the newest epoch; the settings stand with the best value so far."""
    writer: Any = SummaryWriter(str(folder))  # its own types say that it never has a file
    for part in hparams(dict(_leaves(settings)), {BEST: 0.0}):  # add_hparams would open a file every time
        writer.file_writer.add_summary(part)

    def told(progress: Progress) -> None:
        row = progress.rows[-1]
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, progress.epoch)
        if judged_by(row):
            writer.add_scalar(f"best/{judged_by(row)}", progress.best, progress.epoch)
        writer.flush()

    return told


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as flat names; lists as text, since HPARAMS knows numbers, words and truth values only."""
    found = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value if isinstance(value, bool | int | float | str) else str(value)))
    return found
