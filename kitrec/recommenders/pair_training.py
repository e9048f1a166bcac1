"""The training loop of models over two domains: what an epoch teaches; when to stop and what is best is idrec's.

Everything drawn comes from the seed and the epoch, so that a training that broke off goes on with the same numbers."""

import torch

from kitrec.core.randomness import generator
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.data.pair_batches import pair_batches, sample_epoch
from kitrec.recommenders.models.cross_domain_model import Learner
from kitrec.recommenders.params import TrainingConfig
from kitrec.recommenders.ranking.within_domain import Validation, evaluate
from kitrec.recommenders.row_adamw import RowAdamW
from kitrec.recommenders.sequence_training import Progress, Training, Watcher, due, finished, set_rate, settle


def begin(model: Learner, course: TrainingConfig) -> Training[Learner]:
    """A training before its first epoch."""
    return Training(model, RowAdamW(model, course.learning_rate, course.weight_decay), Progress())


def train(
    training: Training[Learner],
    readers: UserHistories,
    validation: Validation | None,
    course: TrainingConfig,
    negatives: int,
    seed: int,
    watch: Watcher,
) -> None:
    """Learn until the last epoch or until nothing gets better; `watch` is called after every epoch."""
    if (validation is None) != (course.mode == "full_data"):
        raise ValueError("standard mode is judged by a validation, full_data mode has none")
    unknown = NegativeSampler(readers.histories, training.model.catalogue)
    while not finished(training.progress, course):
        teach(training, readers, unknown, course, negatives, seed)
        if validation is None:
            settle(training.progress, None)
        elif due(training.progress, course):
            training.model.eval()
            settle(training.progress, evaluate(training.model, validation))
        watch(training)


def teach(
    training: Training[Learner],
    readers: UserHistories,
    unknown: NegativeSampler,
    course: TrainingConfig,
    negatives: int,
    seed: int,
) -> None:
    """One epoch."""
    model, number = training.model, training.progress.epoch
    catalogue: ItemDomains = model.catalogue
    planned = sample_epoch(readers, catalogue, unknown, negatives, generator(seed, "crossdomain", number))
    steps = -(-len(planned.rows) // course.batch_size)
    model.train()
    total = 0.0
    for step, lesson in enumerate(pair_batches(readers, catalogue, planned, course.batch_size, model.device)):
        set_rate(training.optimizer, course, (number + step / steps) / course.epochs)
        training.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=course.precision == "16-mixed"):
            value = model.loss(lesson)
        value.backward()
        training.optimizer.step()
        total += value.item() * len(lesson.counted)
    training.progress.epoch += 1
    targets = int(planned.counted.sum())
    training.progress.rows.append({"epoch": number + 1, "loss": total / max(len(planned.rows), 1), "targets": targets})
