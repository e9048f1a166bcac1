"""Training of models over two domains: an epoch of updates over all positives, and the validation that chooses it.

The model defines the loss of a batch (formula at the top of its file). All random numbers come from the seed and the
epoch. The loop, early stopping and checkpoints are those of kitrec/training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kitrec.core.randomness import derived_seed, generator
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.data.pair_batches import pair_batches, sample_epoch
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Learner
from kitrec.recommenders.models.registry import build_cross_domain_model
from kitrec.recommenders.params import TrainingConfig
from kitrec.recommenders.ranking.within_domain import Validation, evaluate
from kitrec.recommenders.row_adamw import RowAdamW
from kitrec.recommenders.sequence_training import check_mode, loop_config
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import OnEpochEnd, fit
from kitrec.training.schedule import rate_factor, set_learning_rate
from kitrec.training.state import Row, TrainingResult, TrainingState


def init_training(model: Learner, config: TrainingConfig, device: torch.device) -> TrainingState[Learner]:
    """Create the state before the first epoch, on a device."""
    model.to(device)
    return TrainingState(model, RowAdamW(model, config.learning_rate, config.weight_decay))


def train_cross_domain_model(
    p: params.CrossDomainModel,
    config: TrainingConfig,
    item_domains: ItemDomains,
    users: UserHistories,
    validation: Validation | None,
    seed: int,
    work: Path,
    on_epoch_end: OnEpochEnd,
    table_users: int | None = None,
    titles: np.ndarray | None = None,
    device: torch.device | None = None,
) -> TrainingResult[Learner]:
    """Train a model of the history form, or of the paper's with a table of `table_users` users; without a `device` on
    that of the process."""
    check_mode(config, validation)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "crossdomain weights"))
        model = build_cross_domain_model(p, item_domains, table_users, titles)
    state = init_training(model, config, device or distributed_context().device)
    step = CrossDomainStep(state, users, NegativeSampler(users.histories, item_domains), config, p.negatives, seed)

    def validate() -> Row:
        assert validation is not None
        return evaluate(model.eval(), validation)

    return fit(step, validate if validation else None, loop_config(config), state, work, on_epoch_end)


@dataclass(frozen=True)
class CrossDomainStep:
    """One epoch of updates: every positive of every user once, with newly sampled negatives."""

    state: TrainingState[Learner]
    users: UserHistories
    sampler: NegativeSampler
    config: TrainingConfig
    negatives: int
    seed: int

    def __call__(self, epoch: int) -> Row:
        """Train an epoch (from 0); return its mean loss over all rows."""
        model, optimizer, config = self.state.model, self.state.optimizer, self.config
        rng = generator(self.seed, "crossdomain", epoch)
        pairs = sample_epoch(self.users, model.item_domains, self.sampler, self.negatives, rng)
        batches = -(-len(pairs.rows) // config.batch_size)
        autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=config.precision == "16-mixed")
        model.train()
        total = 0.0
        parts = pair_batches(self.users, model.item_domains, pairs, config.batch_size, model.device)
        for number, batch in enumerate(parts):
            done = (epoch + number / batches) / config.epochs
            set_learning_rate(optimizer, config.learning_rate, rate_factor(config.schedule, config.warmup_ratio, done))
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                value = model.loss(batch)
            value.backward()
            optimizer.step()
            total += value.item() * len(batch.counted)
        targets = int(pairs.counted.sum())
        return {"epoch": epoch + 1, "loss": total / max(len(pairs.rows), 1), "targets": targets}
