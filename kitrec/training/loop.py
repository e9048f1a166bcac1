"""The training loop of every model that kitrec trains itself.

    until the last epoch, or until patience runs out:
        row      = step(epoch)                          one epoch of updates; its loss and counts
        metrics  = validate()                           every `validate_every` epochs, in every process (each may
                                                        validate its share: sequence_training.py)
        keep the weights if the selection metric improved, write a checkpoint, call on_epoch_end
A `step` draws all its random numbers from the seed and the epoch, so a resumed training ends with the same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kitrec.training.checkpoint import resume, save_checkpoint
from kitrec.training.selection import LoopConfig, finished, record_loss, record_validation, should_validate
from kitrec.training.state import M, Progress, Row, TrainingResult, TrainingState, copy_tensors

Step = Callable[[int], Row]  # trains one epoch (from 0) and returns its row
Validate = Callable[[], Row]
StateCallback = Callable[[TrainingState[Any]], None]
OnEpochEnd = Callable[[Progress], None]


def run_epochs(
    step: Step, validate: Validate | None, config: LoopConfig, state: TrainingState[M], on_epoch_end: StateCallback
) -> None:
    """Train until the end, leaving the last weights in place; without a validation the lowest loss is the best."""
    progress = state.progress
    with torch.random.fork_rng():
        while not finished(progress, config):
            row = step(progress.epoch)
            progress.epoch += 1
            progress.rows.append(row)
            if validate is None:
                record_loss(progress)
            elif should_validate(progress, config):
                metrics = state.distributed.broadcast(validate())
                record_validation(progress, config.selection, metrics)
            on_epoch_end(state)


def fit(
    step: Step,
    validate: Validate | None,
    config: LoopConfig,
    state: TrainingState[M],
    work: Path | None,
    on_epoch_end: OnEpochEnd,
    *,
    validate_start: bool = False,
) -> TrainingResult[M]:
    """Train from the checkpoint in `work`, if there is one, and restore the best weights.

    `validate_start`: the initial weights compete too, as epoch 0."""
    best = {} if work is None else resume(state, work)
    state.distributed.barrier()
    if validate_start and not state.progress.epoch:
        assert validate is not None
        state.progress.best, best = config.selection.score(validate()), state.copied_tensors()

    def keep(state: TrainingState[Any]) -> None:
        if state.improved:
            best.update(state.copied_tensors())
        if work is not None and state.distributed.is_main:
            save_checkpoint(state, best, config.selection, work)
        on_epoch_end(state.progress)

    run_epochs(step, validate, config, state, keep)
    last = state.copied_tensors()
    copy_tensors(state.tensors(), best)
    state.model.eval()
    return TrainingResult(state.model, state.progress, last)
