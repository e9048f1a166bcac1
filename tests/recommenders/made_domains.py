"""A small catalogue of two domains, readers in it, and models of every kind."""

import numpy as np
import torch

from kitrec.recommenders.data.cross_domain_batches import Readers, ask
from kitrec.recommenders.data.item_domains import Catalogue, Unknown
from kitrec.recommenders.data.pair_batches import epoch, lessons
from kitrec.recommenders.data.sequences import Sequences, of_lists
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Learner
from kitrec.recommenders.models.registry import build_cross_domain_model
from kitrec.recommenders.params import Course

SOURCES, TARGETS = 20, 16
CATALOGUE = Catalogue(np.array([0, *[1] * SOURCES, *[2] * TARGETS]))
LEARNED = ["conet", "dtcdr", "sscdr", "bpr_mf"]


def model_params(kind: str, **changed) -> params.Learned:
    own = {"hidden": 8, "negatives": 3, "kind": kind}
    match kind:
        case "conet":
            return params.CoNet(**(own | {"layers": [12, 6], "sparsity": 0.0} | changed))
        case "dtcdr":
            shape = {"layers": [12, 6], "rating": "neumf", "combination": "max", "titles": False, "weight": 0.5}
            return params.DTCDR(**(own | shape | changed))
        case "sscdr":
            return params.SSCDR(**(own | {"margin": 0.5, "supervised": 1.0, "unsupervised": 1.0} | changed))
        case _:
            return params.BPRMF(**(own | changed))


def a_model(kind: str, users: int | None = None, catalogue: Catalogue = CATALOGUE, **changed) -> Learner:
    """Weights far from zero, so that nothing is equal by being nothing."""
    torch.manual_seed(0)
    model = build_cross_domain_model(model_params(kind, **changed), catalogue, users)
    with torch.no_grad():
        for own in model.parameters():
            own.normal_(0.0, 0.4)
        model.items.weight[0].zero_()
    return model.eval()


def some_readers(count: int, seed: int = 0, *, numbered: bool = False) -> Readers:
    """Each has 1 to 6 items of either side, mixed in time."""
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(count):
        source = rng.choice(SOURCES, size=rng.integers(1, 7), replace=False) + 1
        target = rng.choice(TARGETS, size=rng.integers(1, 7), replace=False) + 1 + SOURCES
        lists.append(rng.permutation(np.concatenate([source, target])))
    return Readers(of_lists(lists), np.arange(count) if numbered else None)


def a_lesson(readers: Readers, negatives: int = 3, seed: int = 0, catalogue: Catalogue = CATALOGUE):
    """One batch of everything."""
    unknown = Unknown(readers.histories, catalogue)
    planned = epoch(readers, catalogue, unknown, negatives, np.random.default_rng(seed))
    return next(lessons(readers, catalogue, planned, len(planned.rows), torch.device("cpu")))


def asked_of(readers: Readers, catalogue: Catalogue = CATALOGUE):
    return ask(readers, catalogue.sides, np.arange(len(readers)))


def a_course(**changed) -> Course:
    own = {"mode": "standard", "epochs": 5, "batch": 64, "learning_rate": 1e-2, "weight_decay": 0.0, "warmup": 0.0}
    own |= {"schedule": "constant", "patience": 50, "validate_every": 1, "precision": "32"}
    return Course(**(own | changed))


def clustered(readers: int, seed: int = 0, clusters: int = 4) -> tuple[Sequences, np.ndarray, np.ndarray]:
    """Histories, truths and clusters: which half a reader's books come from decides which targets they take.

    Cluster c reads source items of residue c; its targets are those of residue c + 1. A third has no target history."""
    rng = np.random.default_rng(seed)
    lists, truths, own = [], [], rng.integers(clusters, size=readers)
    for cluster in own.tolist():
        source = rng.choice(np.arange(cluster, SOURCES, clusters), size=4, replace=False) + 1
        target = rng.permutation(np.arange((cluster + 1) % clusters, TARGETS, clusters)) + 1 + SOURCES
        seen = 0 if rng.random() < 1 / 3 else 2
        lists.append([*source, *target[:seen]])
        truths.append(target[seen])
    return of_lists(lists), np.array(truths), own
