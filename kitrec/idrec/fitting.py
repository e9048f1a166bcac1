"""One method from nothing (or from where it broke off) to its best weights.

The work folder holds `last-<epoch>-<metric>-<value>.safetensors`: all that a training needs to go on, the best weights
included. The metric is validation NDCG@10, or the training loss of an epoch that nothing judged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from kitrec.idrec.building import build
from kitrec.idrec.metadata import Known
from kitrec.idrec.params import Method
from kitrec.idrec.recommender import Recommender
from kitrec.idrec.sequences import Sequences
from kitrec.idrec.storing import resume, save_training
from kitrec.idrec.training import JUDGED_BY, M, Progress, Training, Validation, Watcher, begin, train
from kitrec.randomness import derived_seed


@dataclass(frozen=True)
class Fitted(Generic[M]):
    model: M  # with its best weights
    progress: Progress

    def told(self) -> dict[str, float]:
        """How it was chosen: the best epoch and its numbers."""
        rows = self.progress.rows
        return {**rows[self.progress.best_epoch - 1], "epochs": len(rows)}


def fit(
    p: Method,
    known: Known,
    items: int,
    sequences: Sequences,
    validation: Validation | None,
    seed: int,
    work: Path,
    told: Callable[[Progress], None],
) -> Fitted[Recommender]:
    """Train a method; `told` hears of every epoch."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "idrec weights"))
        model = build(p.model, items, known)
    training = begin(model, p.course)

    def learn(keep: Watcher) -> None:
        train(training, sequences, validation, p.course, p.loss, seed, keep)

    return carry_on(training, learn, work, told)


def carry_on(
    training: Training[M], learn: Callable[[Watcher], None], work: Path, told: Callable[[Progress], None]
) -> Fitted[M]:
    """Learn from where the work folder left it; every epoch is kept there, the best weights come back."""
    newest = sorted(work.glob("last-*.safetensors"))
    best = resume(training, newest[-1]) if newest else {}

    def keep(training: Training[Any]) -> None:
        if training.improved:
            best.update({name: own.detach().clone() for name, own in training.model.state_dict().items()})
        older = list(work.glob("last-*.safetensors"))
        row = training.progress.rows[-1]
        watched = JUDGED_BY if JUDGED_BY in row else "loss"
        name = f"last-{training.progress.epoch:06d}-{watched}-{row[watched]:.4f}.safetensors"
        save_training(training, best, work / name)
        for stale in older:
            stale.unlink()
        told(training.progress)

    learn(keep)
    training.model.load_state_dict(best)
    return Fitted(training.model.eval(), training.progress)
