"""Model selection and early stopping: the best epoch by one metric of the validation, patience in validated epochs."""

import math
from dataclasses import dataclass

from kitrec.core.errors import InputError
from kitrec.training.state import Progress, Row


@dataclass(frozen=True)
class Selection:
    """The metric that chooses the epoch."""

    metric: str
    greater_is_better: bool = True

    def score(self, row: Row) -> float:
        """Return the value to maximise."""
        return row[self.metric] if self.greater_is_better else -row[self.metric]


@dataclass(frozen=True)
class LoopConfig:
    """Length of a training: `patience` validated epochs without improvement end it (None: never)."""

    epochs: int
    selection: Selection
    patience: int | None = None
    validate_every: int = 1


TRAINING_LOSS = Selection("loss", greater_is_better=False)  # without a validation


def finished(progress: Progress, config: LoopConfig) -> bool:
    """Return whether the last epoch is reached or patience has run out."""
    out_of_patience = config.patience is not None and progress.epochs_without_improvement >= config.patience
    return progress.epoch >= config.epochs or out_of_patience


def should_validate(progress: Progress, config: LoopConfig) -> bool:
    """Return whether the epoch that just ended is validated; the last one always is."""
    return progress.epoch % config.validate_every == 0 or progress.epoch == config.epochs


def record_validation(progress: Progress, selection: Selection, metrics: Row) -> None:
    """Add the metrics of the last epoch to its row; a better score makes it the best epoch."""
    progress.rows[-1] |= metrics
    if not _improves(progress, selection):
        progress.epochs_without_improvement += 1


def record_loss(progress: Progress) -> None:
    """Select by the training loss, without a validation; patience does not apply."""
    _improves(progress, TRAINING_LOSS)


def _improves(progress: Progress, selection: Selection) -> bool:
    row = progress.rows[-1]
    score = selection.score(row)
    if not math.isfinite(row["loss"] + score):
        raise InputError(
            f"epoch {progress.epoch}: loss {row['loss']}, {selection.metric} {row[selection.metric]} are not finite; "
            "take a smaller learning_rate, or a warmup_ratio"
        )
    better = score > progress.best
    if better:
        progress.best, progress.best_epoch, progress.epochs_without_improvement = score, progress.epoch, 0
    return better
