"""One learned method from nothing (or from where it broke off) to its best weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kitrec.crossdomain import params
from kitrec.crossdomain.asked import Readers
from kitrec.crossdomain.building import build
from kitrec.crossdomain.catalogue import Catalogue
from kitrec.crossdomain.judging import Validation
from kitrec.crossdomain.recommender import Learner
from kitrec.crossdomain.training import begin, train
from kitrec.idrec.fitting import Fitted, carry_on
from kitrec.idrec.params import Course
from kitrec.idrec.training import Progress, Watcher
from kitrec.randomness import derived_seed


def fit(
    p: params.Learned,
    course: Course,
    catalogue: Catalogue,
    readers: Readers,
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
