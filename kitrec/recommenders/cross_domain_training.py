"""Training of models over two domains: an epoch of updates over all positives, and the validation that chooses it.

The loss of a batch is the model's own (formula on top of its file). All random numbers come from the seed and the
epoch. The loop, early stopping and checkpoints are those of kitrec/training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kitrec.core.randomness import derived_seed, generator
from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.item_domains import Catalogue, Unknown
from kitrec.recommenders.data.pair_batches import epoch as draw_epoch
from kitrec.recommenders.data.pair_batches import lessons
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner
from kitrec.recommenders.models.registry import build_cross_domain_model
from kitrec.recommenders.params import Course
from kitrec.recommenders.ranking.within_domain import Validation, judged
from kitrec.recommenders.row_adamw import RowAdamW
from kitrec.recommenders.sequence_training import check_mode, loop_config
from kitrec.training.loop import OnEpochEnd, fit
from kitrec.training.schedule import rate_factor, set_learning_rate
from kitrec.training.state import Row, TrainingResult, TrainingState


def init_training(model: Learner, course: Course) -> TrainingState[Learner]:
    """The state before the first epoch."""
    return TrainingState(model, RowAdamW(model, course.learning_rate, course.weight_decay))


def train_cross_domain_model(
    p: params.Learned,
    course: Course,
    catalogue: Catalogue,
    readers: Readers,
    validation: Validation | None,
    seed: int,
    work: Path,
    on_epoch_end: OnEpochEnd,
    users: int | None = None,
    titles: np.ndarray | None = None,
) -> TrainingResult[Learner]:
    """Train a model of the history form, or of the paper's where `users` says how many there are."""
    check_mode(course, validation)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "crossdomain weights"))
        model = build_cross_domain_model(p, catalogue, users, titles)
    state = init_training(model, course)
    step = CrossDomainStep(state, readers, Unknown(readers.histories, catalogue), course, p.negatives, seed)

    def validate() -> Row:
        assert validation is not None
        return judged(model.eval(), validation)

    return fit(step, validate if validation else None, loop_config(course), state, work, on_epoch_end)


@dataclass(frozen=True)
class CrossDomainStep:
    """One epoch of updates: every positive of every user once, with newly drawn negatives."""

    state: TrainingState[Learner]
    readers: Readers
    unknown: Unknown
    course: Course
    negatives: int
    seed: int

    def __call__(self, epoch: int) -> Row:
        """Train an epoch (from 0); return its mean loss over all rows."""
        model, optimizer, course = self.state.model, self.state.optimizer, self.course
        catalogue: Catalogue = model.catalogue
        rng = generator(self.seed, "crossdomain", epoch)
        drawn = draw_epoch(self.readers, catalogue, self.unknown, self.negatives, rng)
        batches = -(-len(drawn.rows) // course.batch)
        autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=course.precision == "16-mixed")
        model.train()
        total = 0.0
        for number, batch in enumerate(lessons(self.readers, catalogue, drawn, course.batch, model.device)):
            done = (epoch + number / batches) / course.epochs
            set_learning_rate(optimizer, course.learning_rate, rate_factor(course.schedule, course.warmup, done))
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                value = model.loss(batch)
            value.backward()
            optimizer.step()
            total += value.item() * len(batch.counted)
        targets = int(drawn.counted.sum())
        return {"epoch": epoch + 1, "loss": total / max(len(drawn.rows), 1), "targets": targets}
