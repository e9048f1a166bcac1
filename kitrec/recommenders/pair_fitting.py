"""One learned method from nothing (or from where it broke off) to its best weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kitrec.core.randomness import derived_seed
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner
from kitrec.recommenders.models.cross_domain_registry import build
from kitrec.recommenders.pair_training import begin, train
from kitrec.recommenders.params import TrainingConfig
from kitrec.recommenders.ranking.within_domain import Validation
from kitrec.recommenders.sequence_fitting import Fitted, carry_on
from kitrec.recommenders.sequence_training import Progress, Watcher


def fit(
    p: params.CrossDomainModel,
    course: TrainingConfig,
    catalogue: ItemDomains,
    readers: UserHistories,
    validation: Validation | None,
    seed: int,
    work: Path,
    told: Callable[[Progress], None],
    users: int | None = None,
    titles: np.ndarray | None = None,
) -> Fitted[Learner]:
    """Train a model of the history form, or of the paper's where `users` says how many there are."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "crossdomain weights"))
        model = build(p, catalogue, users, titles)
    training = begin(model, course)

    def learn(keep: Watcher) -> None:
        train(training, readers, validation, course, p.negatives, seed, keep)

    return carry_on(training, learn, work, told)
