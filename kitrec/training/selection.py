"""Model selection and early stopping: the best epoch by one metric of the validation, patience in validated epochs.

The cost of a validation grows with its users, its precision with their root. Two sets of weights are compared on the
same users: with g their gain and s the standard deviation of a user's difference, the standard error of n users is
below g / 10 for n > (10 s / g)^2. Of NDCG@10, on the default data (docs/specification/training.md):
    a model over item ids   SASRec, four late epochs                g = .0101, s = .097     n > 9,225
    an LLM                  a DualFT or SingleFT adapter, its base  g = .174, s = .477      n > 752
so the shipped params sample 10,000 and 1,000 users. They are sampled once, by the seed: all epochs of a training, and
all trainings of a seed, are validated on the same ones."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.training.state import Progress, Row

Most = int | Literal["all"]  # users at most, or all


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


def sampled_positions(count: int, most: Most, seed: int) -> np.ndarray:
    """Return `most` of so many users by their positions, ascending; all where there are no more."""
    if most == "all" or count <= most:
        return np.arange(count)
    return np.sort(generator(seed, "validation users").choice(count, size=most, replace=False))


def sample_users(users: pl.Series, most: Most, seed: int) -> pl.Series:
    """Return `most` of the users of a column, whatever its order."""
    distinct = users.unique().sort()
    return distinct.gather(sampled_positions(len(distinct), most, seed))


def sample_rows(table: pl.DataFrame, most: Most, seed: int) -> pl.DataFrame:
    """Return the rows of `most` of a table's users, in their order."""
    return table.filter(pl.col("user_id").is_in(sample_users(table["user_id"], most, seed).implode()))


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
