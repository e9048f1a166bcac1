"""Recovery of a training that was killed or ran out of memory.

Trainer writes a checkpoint file by file; a marker written last holds the hash of all the others, so that only complete
and unchanged checkpoints are resumed. Out of memory, the micro-batch shrinks; the effective batch, the order of samples
and the schedule stay."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.finetuning.params import FineTune
from kitrec.training.out_of_memory import smaller_part

COMPLETE = "complete"


class MarkComplete(TrainerCallback):
    """Marks each checkpoint as complete once all of its files are written."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        PartialState().wait_for_everyone()  # each process writes its random state there
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def mark_complete(checkpoint: Path) -> None:
    """Write the marker with the hashes of the checkpoint's files."""
    files.write_json({"files": _hashes(checkpoint)}, checkpoint / COMPLETE)


def newest_checkpoint(folder: Path) -> str | None:
    """Return the newest complete checkpoint; damaged ones are skipped with a message."""
    marked = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    for checkpoint in sorted(marked, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if files.read_json(checkpoint / COMPLETE)["files"] == _hashes(checkpoint):
            return str(checkpoint)
        print(f"{checkpoint} is damaged: resuming from the one before it", file=sys.stderr)
    return None


def smaller_micro_batch(p: FineTune) -> FineTune:
    """Return params with the next smaller divisor as micro-batch and the same effective batch; then that of eval."""
    if p.batch_size > 1:
        smaller = smaller_part(p.batch_size, p.batch_size)
        steps = p.gradient_accumulation_steps * p.batch_size // smaller
        return replace(p, batch_size=smaller, gradient_accumulation_steps=steps)
    if p.eval_batch_size > 1:
        return replace(p, eval_batch_size=p.eval_batch_size // 2)
    raise InputError("out of memory with one sample at a time: lower prompt.max_length, or use a larger device")


def _hashes(checkpoint: Path) -> dict[str, str]:
    paths = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    return {str(path.relative_to(checkpoint)): files.sha256(path) for path in paths}
