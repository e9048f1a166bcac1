"""Training in rounds of `validate_every` updates, which the training loop takes for epochs (kitrec/training/loop.py).

Everything random of an update comes from the seed and its number, so a resumed training ends with the same bytes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kitrec.core.randomness import derived_seed
from kitrec.recommenders.data.sequences import Sequences
from kitrec.titles.calibration import METRIC
from kitrec.titles.params import TitleTraining
from kitrec.titles.questions import Questions
from kitrec.training.loop import fit
from kitrec.training.schedule import set_learning_rate, warmup_cosine_of_update
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import M, Progress, Row, TrainingState

SELECTION = Selection(METRIC)  # of the development records
OnRound = Callable[[str, Progress], None]  # the phase and its progress


@dataclass(frozen=True)
class TrainingData:
    """Users' sequences to learn from, development records to select by, and the folder of checkpoints."""

    sequences: Sequences
    development: Questions
    seed: int
    work: Path


@dataclass(frozen=True)
class Trained:
    """Rows of all rounds, and metrics of the weights that were kept."""

    rows: list[Row]
    metrics: dict[str, float]


def trained(rows: list[Row], users: int, validation: Row) -> Trained:
    """Return the rows and metrics of a training; one without updates has its validation as the only row."""
    metrics = {"users": users, **validation}
    rounded = {name: round(value, 6) for name, value in metrics.items()}
    return Trained(rows or [{"epoch": 0, "update": 0, **validation}], rounded)


def new_state(
    model: M, trained: Iterable[nn.Parameter], p: TitleTraining, weights: Callable[[], Mapping[str, torch.Tensor]]
) -> TrainingState[M]:
    """Return the state before the first update of some parameters; `weights` are what checkpoints hold."""
    optimizer = torch.optim.AdamW(trained, lr=p.learning_rate, weight_decay=p.weight_decay)
    return TrainingState(model, optimizer, weights=weights)


@dataclass(frozen=True)
class Rounds:
    """The updates of a training by rounds; `gradients` adds those of an update and returns its loss."""

    optimizer: torch.optim.Optimizer
    p: TitleTraining
    gradients: Callable[[int], float]
    switch_to_training: Callable[[], None]
    purpose: tuple[int, str, str]  # seed and names of the dropout's randomness

    def __call__(self, number: int) -> Row:
        """Train a round (from 0); return its mean loss."""
        first = number * self.p.validate_every
        self.switch_to_training()
        losses = [self._update(first + k) for k in range(self.p.validate_every)]
        return {"epoch": number + 1, "update": first + len(losses), "loss": float(np.mean(losses))}

    def _update(self, number: int) -> float:
        factor = warmup_cosine_of_update(self.p.warmup_ratio, number, self.p.updates)
        set_learning_rate(self.optimizer, self.p.learning_rate, factor)
        torch.manual_seed(derived_seed(*self.purpose, number))
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.gradients(number)
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, self.p.max_grad_norm)
        self.optimizer.step()
        return loss


def fit_rounds(
    rounds: Rounds,
    validate: Callable[[], Row],
    state: TrainingState[M],
    work: Path,
    on_round: Callable[[Progress], None],
    *,
    validate_start: bool,
) -> list[Row]:
    """Train all rounds, from the checkpoint in `work` if there is one; leave the best weights in place."""
    config = LoopConfig(rounds.p.updates // rounds.p.validate_every, SELECTION, rounds.p.patience)
    work.mkdir(exist_ok=True)
    return fit(rounds, validate, config, state, work, on_round, validate_start=validate_start).progress.rows
