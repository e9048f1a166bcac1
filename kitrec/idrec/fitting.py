"""One method from nothing (or from where it broke off) to its best weights.

The work folder holds `last-<epoch>-<value>.safetensors` (all that a training needs to go on, the best weights
included); the value is what is watched: validation NDCG@10, or the training loss where everything trains."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from kitrec.idrec.building import build
from kitrec.idrec.metadata import Known
from kitrec.idrec.params import Method
from kitrec.idrec.recommender import Recommender
from kitrec.idrec.sequences import Sequences
from kitrec.idrec.storing import resume, save_training
from kitrec.idrec.training import JUDGED_BY, Progress, Training, Validation, begin, train
from kitrec.randomness import derived_seed


@dataclass(frozen=True)
class Fitted:
    model: Recommender  # with its best weights
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
) -> Fitted:
    """Train a method; `told` hears of every epoch."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "idrec weights"))
        model = build(p.model, items, known)
    training = begin(model, p.course)
    newest = sorted(work.glob("last-*.safetensors"))
    best = resume(training, newest[-1]) if newest else {}

    def keep(training: Training) -> None:
        if training.improved:
            best.update({name: own.detach().clone() for name, own in training.model.state_dict().items()})
        older = list(work.glob("last-*.safetensors"))
        row = training.progress.rows[-1]
        value = row.get(JUDGED_BY, row["loss"])
        save_training(training, best, work / f"last-{training.progress.epoch:04d}-{value:.4f}.safetensors")
        for stale in older:
            stale.unlink()
        told(training.progress)

    train(training, sequences, validation, p.course, p.loss, seed, keep)
    model.load_state_dict(best)
    return Fitted(model.eval(), training.progress)
