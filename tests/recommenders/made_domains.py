"""A small catalogue of two domains, users in it, and cross-domain models of every kind."""

import numpy as np
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories, cross_domain_batch
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.data.pair_batches import pair_batches, sample_epoch
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.models import params
from kitrec.recommenders.models.interface import Learner
from kitrec.recommenders.models.registry import build_cross_domain_model
from kitrec.recommenders.params import TrainingConfig

SOURCES, TARGETS = 20, 16
CATALOGUE = ItemDomains(np.array([0, *[1] * SOURCES, *[2] * TARGETS]))
CROSS_DOMAIN = ["conet", "dtcdr", "sscdr", "bpr_mf"]


def model_params(kind: str, **changed) -> params.CrossDomainModel:
    common = {"hidden_size": 8, "negatives": 3, "kind": kind}
    match kind:
        case "conet":
            return params.CoNet(**(common | {"layers": [12, 6], "sparsity": 0.0} | changed))
        case "dtcdr":
            shape = {"layers": [12, 6], "rating": "neumf", "combination": "max", "titles": False}
            return params.DTCDR(**(common | shape | {"target_weight": 0.5} | changed))
        case "sscdr":
            return params.SSCDR(**(common | {"margin": 0.5, "supervised": 1.0, "unsupervised": 1.0} | changed))
        case _:
            return params.BPRMF(**(common | changed))


def made_model(kind: str, users: int | None = None, catalogue: ItemDomains = CATALOGUE, **changed) -> Learner:
    """Create a model with weights far from zero, so that no two outputs are equal because both are zero."""
    torch.manual_seed(0)
    model = build_cross_domain_model(model_params(kind, **changed), catalogue, users)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.4)
        model.items.weight[0].zero_()
    return model.eval()


def made_users(count: int, seed: int = 0, *, indexed: bool = False) -> UserHistories:
    """Create users with 1 to 6 items of either side, mixed in time."""
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(count):
        source = rng.choice(SOURCES, size=rng.integers(1, 7), replace=False) + 1
        target = rng.choice(TARGETS, size=rng.integers(1, 7), replace=False) + 1 + SOURCES
        lists.append(rng.permutation(np.concatenate([source, target])))
    return UserHistories(sequences_from_lists(lists), np.arange(count) if indexed else None)


def made_pair_batch(users: UserHistories, negatives: int = 3, seed: int = 0, catalogue: ItemDomains = CATALOGUE):
    """Create one batch of a whole epoch."""
    sampler = NegativeSampler(users.histories, catalogue)
    epoch = sample_epoch(users, catalogue, sampler, negatives, np.random.default_rng(seed))
    return next(pair_batches(users, catalogue, epoch, len(epoch.rows), torch.device("cpu")))


def made_batch(users: UserHistories, catalogue: ItemDomains = CATALOGUE):
    return cross_domain_batch(users, catalogue.sides, np.arange(len(users)))


def made_training_config(**changed) -> TrainingConfig:
    config = {"mode": "standard", "epochs": 5, "batch_size": 64, "learning_rate": 1e-2, "weight_decay": 0.0}
    config |= {"warmup_ratio": 0.0, "schedule": "constant", "patience": 50, "validate_every": 1, "precision": "32"}
    config |= {"metric": "ndcg@10"}
    return TrainingConfig(**(config | changed))


def clustered(users: int, seed: int = 0, clusters: int = 4) -> tuple[Sequences, np.ndarray, np.ndarray]:
    """Return histories, targets and clusters: the cluster of a user's books decides which target items come next.

    Cluster c has source items of residue c; its targets are those of residue c + 1. A third has no target history."""
    rng = np.random.default_rng(seed)
    lists, targets, cluster_of_user = [], [], rng.integers(clusters, size=users)
    for cluster in cluster_of_user.tolist():
        source = rng.choice(np.arange(cluster, SOURCES, clusters), size=4, replace=False) + 1
        target = rng.permutation(np.arange((cluster + 1) % clusters, TARGETS, clusters)) + 1 + SOURCES
        in_history = 0 if rng.random() < 1 / 3 else 2
        lists.append([*source, *target[:in_history]])
        targets.append(target[in_history])
    return sequences_from_lists(lists), np.array(targets), cluster_of_user
