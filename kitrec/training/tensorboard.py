"""TensorBoard logs of a training: every metric of every epoch, gates as val_gate/*, all settings under HPARAMS."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from kitrec.training.state import Progress


def tensorboard_callback(folder: Path, settings: Mapping[str, Any], metric: str) -> Callable[[Progress], None]:
    """Return an `on_epoch_end` callback that writes the newest epoch, and the best selection metric so far."""
    writer: Any = SummaryWriter(str(folder))  # its types declare no file_writer
    for part in hparams(dict(_leaves(settings)), {f"best/{metric}": 0.0}):  # add_hparams would open a file every time
        writer.file_writer.add_summary(part)

    def on_epoch_end(progress: Progress) -> None:
        row = progress.rows[-1]
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, progress.epoch)
        if metric in row:
            writer.add_scalar(f"best/{metric}", progress.best, progress.epoch)
        writer.flush()

    return on_epoch_end


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Flatten nested settings; lists become text, since HPARAMS takes numbers, text and booleans only."""
    leaves = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", value if isinstance(value, bool | int | float | str) else str(value)))
    return leaves
