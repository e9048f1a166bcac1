"""The one training loop of all models over item numbers.

An epoch shuffles the users, learns from batches of them, and (in standard mode) judges the validation items among all
items; the best NDCG@10 (or at the validation's own depth) is kept, `patience` judgements without a better one end it,
counted from the first that had anything right: where Books fill the histories, a GRU names nothing but Books for long.
Everything that is drawn comes from the seed and the epoch, so a run that broke off goes on with the same numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed, generator
from kitrec.core.ranking_metrics import DEPTH, mean_metrics
from kitrec.recommenders import losses
from kitrec.recommenders.data.negatives import negatives_per_target, shared_negatives
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.target_batches import TargetBatch, target_batch, trainable_users
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import Loss, TrainingConfig
from kitrec.recommenders.ranking.full import ranks
from kitrec.training.distributed import Team

JUDGED_BY = "ndcg@10"


@dataclass(frozen=True)
class Validation:
    """Histories and the item that came next in each."""

    histories: Sequences
    truths: np.ndarray
    depth: int = DEPTH  # the NDCG that chooses looks so far down


@dataclass(frozen=True)
class Taught:
    """A batch that was just taught: what one more term of the loss may look at."""

    epoch: int
    batch: int
    sequences: np.ndarray  # which of those that teach the lesson's users are
    lesson: TargetBatch


Extra = Callable[[Taught], torch.Tensor]  # one more term of the loss, a mean over the lesson's targets


@dataclass
class Progress:
    """How far a training is; the loop owns it, a checkpoint holds it."""

    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    stale: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)  # one per epoch


M = TypeVar("M", bound=nn.Module)
Watcher = Callable[["Training[Any]"], None]


@dataclass
class Training(Generic[M]):
    """A model under way: all that a checkpoint has to hold."""

    model: M
    optimizer: torch.optim.Optimizer
    progress: Progress
    team: Team = field(default_factory=lambda: Team(torch.device("cpu")))
    extra: Extra | None = None

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the best so far."""
        return self.progress.best_epoch == self.progress.epoch


def begin(model: Recommender, course: TrainingConfig, own: Team | None = None) -> Training[Recommender]:
    """A training before its first epoch, on the device of its team."""
    own = own or Team(torch.device("cpu"))
    model.to(own.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=course.learning_rate, weight_decay=course.weight_decay, fused=True
    )
    return Training(model, optimizer, Progress(), own)


def train(
    training: Training[Recommender],
    sequences: Sequences,
    validation: Validation | None,
    course: TrainingConfig,
    loss: Loss,
    seed: int,
    watch: Watcher,
) -> None:
    """Learn until the last epoch or until nothing gets better; `watch` is called after every epoch."""
    if (validation is None) != (course.mode == "full_data"):
        raise ValueError("standard mode is judged by a validation, full_data mode has none")
    useful = sequences.take(trainable_users(training.model, sequences))
    _enough(training.model, useful, validation, loss)
    with torch.random.fork_rng():
        while not finished(training.progress, course):
            _epoch(training, useful, course, loss, seed)
            _judge(training, validation, course)
            watch(training)


def _enough(model: Recommender, useful: Sequences, validation: Validation | None, loss: Loss) -> None:
    """Refuse what could only end in a model that learned nothing, or in one that nobody can choose."""
    items = len(model.output()[0])
    if not len(useful):
        raise InputError("no user has enough known items to learn from: check the interactions")
    if validation is not None and not len(validation.histories):
        raise InputError("the validation is empty, no epoch can be chosen: give it users, or set mode: full_data")
    if loss.kind == "gbce" and loss.negatives >= items:
        raise InputError(f"loss.negatives: gbce needs fewer negatives ({loss.negatives}) than items ({items})")


def finished(progress: Progress, course: TrainingConfig) -> bool:
    """Whether there is nothing left to do."""
    return progress.epoch >= course.epochs or progress.stale >= course.patience


def _epoch(
    training: Training[Recommender], sequences: Sequences, course: TrainingConfig, loss: Loss, seed: int
) -> None:
    model, epoch, team = training.model, training.progress.epoch, training.team
    rng = generator(seed, "idrec", epoch)
    order, lengths = rng.permutation(len(sequences)), sequences.lengths
    batches = [order[start : start + course.batch_size] for start in range(0, len(order), course.batch_size)]
    torch.manual_seed(derived_seed(seed, "idrec dropout", epoch) + team.rank)
    drawn = rng if team.size == 1 else generator(seed, "idrec", epoch, team.rank)
    model.train()
    total, targets = torch.zeros((), dtype=torch.float64, device=team.device), 0
    for number, users in enumerate(batches):
        set_rate(training.optimizer, course, (epoch + (number + 0.5) / len(batches)) / course.epochs)
        training.optimizer.zero_grad(set_to_none=True)
        own_users = _by_length(team.share(users), lengths)
        own = sequences.take(own_users)
        autocast = torch.autocast(team.device.type, torch.bfloat16, enabled=course.precision == "16-mixed")
        with autocast, parametrize.cached():  # a weight that is computed is computed once
            taught = target_batch(model, own, drawn, team.packed) if len(own) else None
            count = 0 if taught is None else len(taught.targets)
            together = int(team.total(count))
            if not together:  # nothing was hidden in a batch of few items
                continue
            if taught is not None and count:
                value = mean_loss(taught, model, own, loss, drawn)
                if training.extra is not None:
                    value = value + training.extra(Taught(epoch, number, own_users, taught))
        if count:
            (value * (count / together)).backward()
            total += value.detach().double() * count
        team.sum_gradients(model)
        training.optimizer.step()
        targets += together
    training.progress.epoch += 1
    row = {"epoch": epoch + 1, "loss": team.total(total.item()) / max(targets, 1), "targets": targets}
    training.progress.rows.append(row)


def _by_length(users: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Shortest sequence first: so they pack best."""
    return users[np.argsort(lengths[users], kind="stable")]


def mean_loss(
    taught: TargetBatch, model: Recommender, sequences: Sequences, loss: Loss, rng: np.random.Generator
) -> torch.Tensor:
    """The loss of a batch's targets, its negatives drawn from `rng`."""
    output = model.output()
    items, device = len(output[0]), taught.states.device
    if loss.kind == "ce":
        return losses.cross_entropy(taught.states, taught.targets, output)
    if loss.kind == "bce":
        drawn = negatives_per_target(rng, sequences, taught.users, items, loss.negatives)
        return losses.bce(taught.states, taught.targets, output, torch.from_numpy(drawn - 1).to(device))
    shared = torch.from_numpy(shared_negatives(rng, items, loss.negatives) - 1).to(device)
    if loss.kind == "gbce":
        return losses.gbce(taught.states, taught.targets, output, shared, loss.calibration)
    return losses.sampled_cross_entropy(taught.states, taught.targets, output, shared)


def _judge(training: Training[Recommender], validation: Validation | None, course: TrainingConfig) -> None:
    if validation is None:
        return settle(training.progress, None)
    if not due(training.progress, course):
        return None
    told = training.team.told(_judged(training.model.eval(), validation) if training.team.first else {})
    return settle(training.progress, told)


def _judged(model: Recommender, validation: Validation) -> dict[str, float]:
    _gates(model)  # forget what other evaluations left
    found = mean_metrics(*ranks(model, validation.histories, validation.truths), validation.depth)
    return found | {f"val_gate/{name}": weight for name, weight in _gates(model).items()}


def due(progress: Progress, course: TrainingConfig) -> bool:
    """Whether the epoch that ended is one to judge."""
    return progress.epoch % course.validate_every == 0 or progress.epoch == course.epochs


def settle(progress: Progress, judged: dict[str, float] | None) -> None:
    """Enter what the validation said of the last epoch; without one (None) the least loss is the best."""
    row = progress.rows[-1]
    row |= judged or {}
    value = -row["loss"] if judged is None else row[judged_by(row) or JUDGED_BY]
    if not math.isfinite(row["loss"] + value):
        raise InputError(f"epoch {progress.epoch} left no numbers: take a smaller learning_rate, or a warmup")
    if value > progress.best:
        progress.best, progress.best_epoch, progress.stale = value, progress.epoch, 0
    elif judged is not None and progress.best > 0:
        progress.stale += 1


def judged_by(row: dict[str, float]) -> str | None:
    """The name of what judged an epoch, ndcg@ and a depth; None where nothing did."""
    return next((name for name in row if name.startswith("ndcg@")), None)


def _gates(model: Recommender) -> dict[str, float]:
    return model.fusion.mean_gates() if isinstance(model, BERT4Rec) else {}


def set_rate(optimizer: torch.optim.Optimizer, course: TrainingConfig, done: float) -> None:
    """The learning rate at a share of all planned epochs: warm-up, then the schedule."""
    if done < course.warmup_ratio:
        share = done / course.warmup_ratio
    else:
        left = (1 - done) / (1 - course.warmup_ratio) if course.warmup_ratio < 1 else 1.0
        share = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 + math.cos(math.pi * (1 - left)))}[course.schedule]
    for group in optimizer.param_groups:
        group["lr"] = course.learning_rate * share
