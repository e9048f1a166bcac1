"""Training of sequence models: an epoch of updates over all users, and the validation that chooses the epoch.

An epoch shuffles the users and trains on batches of their targets (data/target_batches.py) by one of the losses of
losses.py. In standard mode the validation ranks its candidates (all items, where it has none); the best NDCG@10 (or
NDCG at the validation's own depth) is kept. The loop, early stopping and checkpoints are those of kitrec/training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import parametrize

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed, generator
from kitrec.core.ranking_metrics import DEPTH, mean_metrics
from kitrec.recommenders import losses
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.negatives import negatives_per_target, shared_negatives
from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.target_batches import TargetBatch, target_batch, trainable_users
from kitrec.recommenders.models import params
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.params import Loss, SequenceMethod, TrainingConfig
from kitrec.recommenders.ranking.full import candidate_scores, ranks
from kitrec.recommenders.ranking.within_domain import ranks_among
from kitrec.training.distributed import DistributedContext, distributed_context
from kitrec.training.loop import OnEpochEnd, StateCallback, Step, Validate, fit, run_epochs
from kitrec.training.schedule import rate_factor, set_learning_rate
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Row, TrainingResult, TrainingState

SELECTION_METRIC = "ndcg@10"


@dataclass(frozen=True)
class Validation:
    """Histories, and the item that came next in each."""

    histories: Sequences
    targets: np.ndarray
    depth: int = DEPTH  # of the NDCG that chooses the epoch
    mask_history: bool = True  # off where repeats are to be predicted
    candidates: np.ndarray | None = None  # [U, C] of each user's domain (ranking/within_domain.py); None: all items

    def take(self, users: np.ndarray) -> "Validation":
        """Return the validation of some of the users."""
        candidates = None if self.candidates is None else self.candidates[users]
        return replace(self, histories=self.histories.take(users), targets=self.targets[users], candidates=candidates)

    def ranks(self, model: Recommender) -> tuple[np.ndarray, np.ndarray]:
        """Return how many items are better than each target, and how many equal (itself included)."""
        if self.candidates is None:
            return ranks(model, self.histories, self.targets, mask_history=self.mask_history)
        return ranks_among(partial(candidate_scores, model, self.histories), self.targets, self.candidates)


@dataclass(frozen=True)
class TrainedBatch:
    """The batch of the current update, as an auxiliary loss sees it."""

    epoch: int
    batch: int
    sequences: np.ndarray  # which of the trainable sequences the batch holds
    target_batch: TargetBatch


AuxiliaryLoss = Callable[[TrainedBatch], torch.Tensor]  # a term added to the loss, a mean over the batch's targets


def new_model(p: params.SequenceModel, items: int, seed: int, features: ItemFeatures | None = None) -> Recommender:
    """Create a model with the initial weights of a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "idrec weights"))
        return build_sequence_model(p, items, features)


def init_training(
    model: Recommender, config: TrainingConfig, distributed: DistributedContext | None = None
) -> TrainingState[Recommender]:
    """Create the state before the first epoch, on the device of its process."""
    distributed = distributed or DistributedContext(torch.device("cpu"))
    model.to(distributed.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    return TrainingState(model, optimizer, distributed=distributed)


def loop_config(config: TrainingConfig, depth: int = DEPTH) -> LoopConfig:
    """Return the loop of a training whose metric, at this depth, chooses."""
    selection = Selection(config.metric.replace(f"@{DEPTH}", f"@{depth}"))
    return LoopConfig(config.epochs, selection, config.patience, config.validate_every)


def check_mode(config: TrainingConfig, validation: object | None) -> None:
    """Refuse a validation in full_data mode, and its absence in standard mode."""
    if (validation is None) != (config.mode == "full_data"):
        raise ValueError("standard mode needs a validation, full_data mode takes none")


def train_sequence_model(
    p: SequenceMethod,
    features: ItemFeatures,
    items: int,
    sequences: Sequences,
    validation: Validation | None,
    seed: int,
    work: Path,
    on_epoch_end: OnEpochEnd,
    *,
    pin_memory: bool = False,
) -> TrainingResult[Recommender]:
    """Train a method from its initial weights, or from the checkpoint in `work`, to its best weights."""
    model = new_model(p.model, items, seed, features)
    state = init_training(model, p.training, distributed_context(pin_memory=pin_memory))
    return fit_sequence_model(state, sequences, validation, p.training, p.loss, seed, work, on_epoch_end)


def fit_sequence_model(
    state: TrainingState[Recommender],
    sequences: Sequences,
    validation: Validation | None,
    config: TrainingConfig,
    loss: Loss,
    seed: int,
    work: Path,
    on_epoch_end: OnEpochEnd,
    auxiliary_loss: AuxiliaryLoss | None = None,
) -> TrainingResult[Recommender]:
    """Train a state on, from the checkpoint in `work` if there is one, and keep the best weights."""
    plan = _plan(state, sequences, validation, config, loss, seed, auxiliary_loss)
    return fit(*plan, state, work, on_epoch_end)


def train(
    state: TrainingState[Recommender],
    sequences: Sequences,
    validation: Validation | None,
    config: TrainingConfig,
    loss: Loss,
    seed: int,
    on_epoch_end: StateCallback,
    auxiliary_loss: AuxiliaryLoss | None = None,
) -> None:
    """Train a state in memory, without checkpoints; the last weights stay in place."""
    run_epochs(*_plan(state, sequences, validation, config, loss, seed, auxiliary_loss), state, on_epoch_end)


def _plan(
    state: TrainingState[Recommender],
    sequences: Sequences,
    validation: Validation | None,
    config: TrainingConfig,
    loss: Loss,
    seed: int,
    auxiliary_loss: AuxiliaryLoss | None,
) -> tuple[Step, Validate | None, LoopConfig]:
    """Return step, validation and length of a training; refuse one without targets, or without an epoch to choose."""
    check_mode(config, validation)
    useful = sequences.take(trainable_users(state.model, sequences))
    items = len(state.model.output()[0])
    if not len(useful):
        raise InputError("no user has enough known items to learn from: check the interactions")
    if validation is not None and not len(validation.histories):
        raise InputError("the validation is empty, no epoch can be chosen: give it users, or set mode: full_data")
    if loss.kind == "gbce" and loss.negatives >= items:
        raise InputError(f"loss.negatives: gbce needs fewer negatives ({loss.negatives}) than items ({items})")
    step = SequenceStep(state, useful, config, loss, seed, auxiliary_loss)
    if validation is None:
        return step, None, loop_config(config)
    validate_epoch = partial(validate, state.model, validation, state.distributed)
    return step, validate_epoch, loop_config(config, validation.depth)


def validate(model: Recommender, validation: Validation, distributed: DistributedContext) -> Row:
    """Return the ranking metrics of the validation, and the mean weights of metadata gates over this process's users.

    Each process ranks its share of the users, and the means of all are averaged."""
    model.eval()
    _gates(model)  # drop what earlier evaluations accumulated
    users = np.arange(len(validation.targets))
    shard = distributed.shard(users)
    if distributed.world_size > 1:
        validation = validation.take(shard if len(shard) else users[:1])  # without users: one, that does not count
    metrics = mean_metrics(*validation.ranks(model), validation.depth)
    if distributed.world_size > 1:
        share = len(shard) / len(users)
        metrics = {name: distributed.all_sum(value * share) for name, value in metrics.items()}
    return metrics | {f"val_gate/{name}": weight for name, weight in _gates(model).items()}


def _gates(model: Recommender) -> dict[str, float]:
    return model.fusion.mean_gates() if isinstance(model, BERT4Rec) else {}


@dataclass(frozen=True)
class SequenceStep:
    """One epoch of updates. All random numbers come from the seed and the epoch."""

    state: TrainingState[Recommender]
    sequences: Sequences
    config: TrainingConfig
    loss: Loss
    seed: int
    auxiliary_loss: AuxiliaryLoss | None

    def __call__(self, epoch: int) -> Row:
        """Train an epoch (from 0); return its mean loss over all targets."""
        state, config, distributed = self.state, self.config, self.state.distributed
        rng = generator(self.seed, "idrec", epoch)
        order = rng.permutation(len(self.sequences))
        batches = [order[start : start + config.batch_size] for start in range(0, len(order), config.batch_size)]
        torch.manual_seed(derived_seed(self.seed, "idrec dropout", epoch) + distributed.rank)
        batch_rng = rng if distributed.world_size == 1 else generator(self.seed, "idrec", epoch, distributed.rank)
        state.model.train()
        total, targets = torch.zeros((), dtype=torch.float64, device=distributed.device), 0
        for number, users in enumerate(batches):
            done = (epoch + (number + 0.5) / len(batches)) / config.epochs
            factor = rate_factor(config.schedule, config.warmup_ratio, done)
            set_learning_rate(state.optimizer, config.learning_rate, factor)
            state.optimizer.zero_grad(set_to_none=True)
            value, count, all_count = self._batch_loss(epoch, number, users, batch_rng)
            if not all_count:  # nothing was masked in a batch of few items
                continue
            if value is not None:
                (value * (count / all_count)).backward()
                total += value.detach().double() * count
            distributed.sum_gradients(state.model)
            state.optimizer.step()
            targets += all_count
        return {"epoch": epoch + 1, "loss": distributed.all_sum(total.item()) / max(targets, 1), "targets": targets}

    def _batch_loss(
        self, epoch: int, number: int, users: np.ndarray, rng: np.random.Generator
    ) -> tuple[torch.Tensor | None, int, int]:
        """Return this process's mean loss (None without targets), its number of targets, and that of all processes."""
        model, distributed = self.state.model, self.state.distributed
        shard = distributed.shard(users)
        shard = shard[np.argsort(self.sequences.lengths[shard], kind="stable")]  # similar lengths pack best
        sequences = self.sequences.take(shard)
        autocast = torch.autocast(distributed.device.type, torch.bfloat16, enabled=self.config.precision == "16-mixed")
        packed = partial(pack, device=distributed.device, pin_memory=distributed.pin_memory)
        with autocast, parametrize.cached():  # a computed weight is computed once per batch
            targets = target_batch(model, sequences, rng, packed) if len(sequences) else None
            count = 0 if targets is None else len(targets.targets)
            all_count = int(distributed.all_sum(count))
            if targets is None or not count:
                return None, count, all_count
            value = mean_loss(targets, model, sequences, self.loss, rng)
            if self.auxiliary_loss is not None:
                value = value + self.auxiliary_loss(TrainedBatch(epoch, number, shard, targets))
        return value, count, all_count


def mean_loss(
    targets: TargetBatch, model: Recommender, sequences: Sequences, loss: Loss, rng: np.random.Generator
) -> torch.Tensor:
    """Return the mean loss over a batch's targets; negatives are sampled with `rng`."""
    output = model.output()
    items, device = len(output[0]), targets.states.device
    if loss.kind == "ce":
        return losses.cross_entropy(targets.states, targets.targets, output)
    if loss.kind == "bce":
        negatives = negatives_per_target(rng, sequences, targets.users, items, loss.negatives)
        return losses.bce(targets.states, targets.targets, output, torch.from_numpy(negatives - 1).to(device))
    shared = torch.from_numpy(shared_negatives(rng, items, loss.negatives) - 1).to(device)
    if loss.kind == "gbce":
        return losses.gbce(targets.states, targets.targets, output, shared, loss.calibration)
    return losses.sampled_cross_entropy(targets.states, targets.targets, output, shared)
