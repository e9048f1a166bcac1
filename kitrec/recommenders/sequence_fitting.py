"""One method from nothing (or from where it broke off) to its best weights.

The work folder holds `last-<epoch>-<metric>-<value>.safetensors`: all that a training needs to go on, the best weights
included. The metric is validation NDCG@10, or the training loss of an epoch that nothing judged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from kitrec.core.randomness import derived_seed
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.models.sequence_registry import build
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.sequence_storage import resume, save_training
from kitrec.recommenders.sequence_training import M, Progress, Training, Validation, Watcher, begin, judged_by, train
from kitrec.training.distributed import team


@dataclass(frozen=True)
class Fitted(Generic[M]):
    model: M  # with its best weights
    progress: Progress
    last: dict[str, torch.Tensor]  # the weights after the last epoch

    def told(self) -> dict[str, float]:
        """How it was chosen: the best epoch and its numbers."""
        rows = self.progress.rows
        return {**rows[self.progress.best_epoch - 1], "epochs": len(rows)}


def fit(
    p: SequenceMethod,
    known: ItemFeatures,
    items: int,
    sequences: Sequences,
    validation: Validation | None,
    seed: int,
    work: Path,
    told: Callable[[Progress], None],
    *,
    pinned: bool = False,
) -> Fitted[Recommender]:
    """Train a method; `told` hears of every epoch. `pinned`: batches reach a GPU by way of pinned memory."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "idrec weights"))
        model = build(p.model, items, known)
    training = begin(model, p.training, team(pinned=pinned))

    def learn(keep: Watcher) -> None:
        train(training, sequences, validation, p.training, p.loss, seed, keep)

    return carry_on(training, learn, work, told)


def carry_on(
    training: Training[M], learn: Callable[[Watcher], None], work: Path, told: Callable[[Progress], None]
) -> Fitted[M]:
    """Learn from where the work folder left it; every epoch is kept there, the best weights come back."""
    newest = sorted(work.glob("last-*.safetensors"))
    best = resume(training, newest[-1]) if newest else {}
    training.team.wait()

    def keep(training: Training[Any]) -> None:
        if training.improved:
            best.update(_copied(training.model))
        if training.team.first:
            _keep(training, best, work)
        told(training.progress)

    learn(keep)
    last = _copied(training.model)
    training.model.load_state_dict(best)
    return Fitted(training.model.eval(), training.progress, last)


def name_of(progress: Progress, epoch: int) -> str:
    """Epoch and metric for a name, as 000012-ndcg@10-0.0345."""
    row = progress.rows[epoch - 1]
    watched = judged_by(row) or "loss"
    return f"{epoch:06d}-{watched}-{row[watched]:.4f}"


def _keep(training: Training[Any], best: dict[str, torch.Tensor], work: Path) -> None:
    older = list(work.glob("last-*.safetensors"))
    save_training(training, best, work / f"last-{name_of(training.progress, training.progress.epoch)}.safetensors")
    for stale in older:
        stale.unlink()


def _copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: own.detach().clone() for name, own in model.state_dict().items()}
