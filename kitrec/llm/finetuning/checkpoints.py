"""Checkpoints that may be resumed from: written to their end, and unchanged since.

Trainer writes a checkpoint file by file. A marker written last holds the hash of all the others."""

import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from kitrec.core import files

COMPLETE = "complete"


class MarkComplete(TrainerCallback):
    """Marks a checkpoint when it is whole."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        PartialState().wait_for_everyone()  # each process writes its random state there
        if state.is_world_process_zero:
            mark(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def mark(checkpoint: Path) -> None:
    """Call it whole as it is now."""
    files.write_json({"files": _hashes(checkpoint)}, checkpoint / COMPLETE)


def newest_checkpoint(folder: Path) -> str | None:
    """The last whole checkpoint; newer ones that are damaged are passed over, with a message."""
    marked = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    for checkpoint in sorted(marked, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if files.read_json(checkpoint / COMPLETE)["files"] == _hashes(checkpoint):
            return str(checkpoint)
        print(f"{checkpoint} is damaged: going on from the one before it", file=sys.stderr)
    return None


def _hashes(checkpoint: Path) -> dict[str, str]:
    paths = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    return {str(path.relative_to(checkpoint)): files.sha256(path) for path in paths}
